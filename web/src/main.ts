import './fonts/archivo.css';
import './styles/base.css';
import './styles/header.css';
import './styles/chips.css';
import './styles/films.css';
import './styles/compare.css';
import './styles/dialogs.css';
import './styles/internals.css';
import './styles/replay.css';
import { registerServiceWorker } from './offline.ts';
import { installProbe } from './probe.ts';
import { Shop, type ShopState } from './shop.ts';
import { senderOf, siteInfo } from './site-info.ts';
import { startingDelay } from './starting-delay.ts';
import { page } from './view/page.ts';
import { storedChoices } from './visitor-choices.ts';

/** The page, the API and the artefacts are served by the same server. */
const SERVER = './';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');

const site = siteInfo(document);
let latest: ShopState | null = null;
const render = page(
  root,
  {
    watch: (item) => void shop.watch(item),
    dislike: (item) => void shop.dislike(item),
    switchDevice: (device) => void shop.switchDevice(device),
    changeSettings: (changes) => void shop.changeSettings(changes),
    chooseModel: (name) => void shop.chooseModel(name),
    setOffline: (offline) => void shop.setOffline(offline),
    setDelay: (ms) => shop.setDelay(ms),
    setComparing: (comparing) => shop.setComparing(comparing),
    showNewList: () => shop.showNewList(),
    setConsent: (granted) => void shop.setConsent(granted),
    importData: (bytes) => void shop.importData(bytes),
    dismissError: () => shop.dismissError(),
    undo: () => void shop.undo(),
    reset: () => void shop.reset(),
    sent: () => shop.sent(),
    retry: () => void shop.open(),
  },
  () => shop.recommender,
  SERVER,
  site,
);
const shop = new Shop(
  SERVER,
  (state) => {
    // Coalesces all changes of one task into a single render before the next paint.
    if (latest === null) queueMicrotask(draw);
    latest = state;
  },
  undefined,
  storedChoices,
  senderOf(site),
);
if (site.release === null) shop.setDelay(startingDelay(location));
// Without a cloud there is nothing to compare with.
else shop.setComparing(false);

function draw(): void {
  const state = latest;
  latest = null;
  if (state !== null) render(state);
}

for (const change of ['online', 'offline']) {
  window.addEventListener(change, () => void shop.checkServer());
}
installProbe(shop);
const opened = shop.open();
// Its files are those of a cloud server.
if (site.release === null) void opened.then(registerServiceWorker);
