import { createRecommender } from '@tandem-rec/client';

const app = document.querySelector('#app');
const status = app.querySelector('[role="status"]');
const list = app.querySelector('ol');

createRecommender({ server: app.dataset.server })
  .then(async (recommender) => {
    const show = ({ items, decision }) => {
      status.textContent = decision.reason;
      list.replaceChildren(...items.slice(0, 12).map(({ item }) => entry(recommender, item)));
    };
    recommender.on('update', show);
    show(await recommender.recommend());
  })
  .catch((error) => {
    status.textContent = `No recommendations: ${error.message}`;
  });

function entry(recommender, item) {
  const button = document.createElement('button');
  button.textContent = `Item ${item}`;
  button.dataset.item = item;
  button.addEventListener('click', () => recommender.track({ type: 'click', item }));
  const place = document.createElement('li');
  place.append(button);
  return place;
}
