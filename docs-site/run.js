/**
 * Runs the examples of a page with the demo's server and one of its items. The demo puts this script
 * into the site; without it the buttons stay hidden.
 */
const demo = new URL('../../', import.meta.url);
const examples = [...document.querySelectorAll('.run')];

async function start() {
  const response = await fetch(new URL('v1/manifest', demo));
  if (!response.ok) return;
  const manifest = await response.json();
  const item = manifest.popular[0];
  const note = `Runs with this demo’s server and ${await nameOf(item, manifest, response)}.`;
  const { createRecommender } = await import(new URL('package/dist/page/index.js', demo).href);
  for (const example of examples) {
    const button = example.querySelector('button');
    const output = example.querySelector('output');
    example.querySelector('.with').textContent = note;
    example.hidden = false;
    button.addEventListener('click', async () => {
      button.disabled = true;
      output.textContent = 'Running …';
      try {
        await run(example.dataset.example, { createRecommender, item }, output);
      } catch (error) {
        output.textContent = String(error);
      }
      button.disabled = false;
    });
  }
}

/** The title and the id of an item, or the id alone if the release has no title for it. */
async function nameOf(item, { items }, { headers }) {
  try {
    const path = `artifacts/${headers.get('x-artifacts')}/${items.path}`;
    const catalogue = await (await fetch(new URL(path, demo))).json();
    const { title } = catalogue.find((entry) => String(entry.item) === item);
    if (title) return `the film “${title}” (item ${item})`;
  } catch {
    // The note names the id.
  }
  return `item ${item}`;
}

/** Runs one example and shows its items, and its decision or whatever it passes to `show`. */
async function run(name, { createRecommender, item }, output) {
  const address = new URL(`./examples/${name}.js`, import.meta.url).href;
  const { run: example } = await import(address);
  let recommender = null;
  const show = (items, decision) => {
    output.replaceChildren(listOf(items), decision === undefined ? '' : decision.reason);
  };
  const opened = async (options) => {
    recommender = await createRecommender(options);
    return recommender;
  };
  const { items, decision } = await example({
    createRecommender: opened,
    server: demo.href,
    item,
    show,
  });
  // An example without a result of its own shows what its listener gets.
  if (items !== undefined) show(items, decision);
  else if (output.querySelector('ol') === null)
    show((await recommender.recommend({ k: 12 })).items);
  recommender?.dispose();
}

function listOf(items) {
  const list = document.createElement('ol');
  for (const { item, title } of items.slice(0, 12)) {
    const entry = document.createElement('li');
    entry.textContent = title === undefined ? item : `${title} (${item})`;
    list.append(entry);
  }
  return list;
}

// Without an answer of the server there are no buttons.
start().catch(() => undefined);
