import { createRecommender, type Recommender, type Update } from '@tandem-rec/client';

const app = element('#app');
const status = element('[role="status"]');
const list = element('ol');

try {
  const recommender = await createRecommender({ server: app.dataset['server'] ?? '' });
  const show = ({ items, decision }: Update): void => {
    status.textContent = decision.reason;
    list.replaceChildren(...items.slice(0, 12).map(({ item }) => entry(recommender, item)));
  };
  recommender.on('update', show);
  show(await recommender.recommend());
} catch (error) {
  status.textContent = `No recommendations: ${error instanceof Error ? error.message : error}`;
}

function entry(recommender: Recommender, item: string): HTMLElement {
  const button = document.createElement('button');
  button.textContent = `Item ${item}`;
  button.dataset['item'] = item;
  button.addEventListener('click', () => recommender.track({ type: 'click', item }));
  const place = document.createElement('li');
  place.append(button);
  return place;
}

function element(selector: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}
