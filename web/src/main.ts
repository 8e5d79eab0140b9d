import '@fontsource-variable/archivo/wdth.css';
import './styles/base.css';
import './styles/header.css';
import './styles/films.css';
import './styles/workings.css';
import { installProbe } from './probe.ts';
import { Shop, type ShopState } from './shop.ts';
import { page } from './view/page.ts';

/** The server that serves this page also serves its lists and artefacts. */
const SERVER = './';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');

let latest: ShopState | null = null;
const render = page(root, {
  watch: (item) => void shop.watch(item),
  dislike: (item) => void shop.dislike(item),
  switchDevice: (device) => void shop.switchDevice(device),
  setOffline: (offline) => void shop.setOffline(offline),
  chooseModel: (name) => void shop.chooseModel(name),
  undo: () => void shop.undo(),
  reset: () => void shop.reset(),
  retry: () => void shop.open(),
});
const shop = new Shop(SERVER, (state) => {
  // Several changes of one turn are drawn once, before the paint that follows them.
  if (latest === null) queueMicrotask(draw);
  latest = state;
});

function draw(): void {
  const state = latest;
  latest = null;
  if (state !== null) render(state);
}

installProbe(shop);
void shop.open();
