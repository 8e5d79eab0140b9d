/** The releases on the disk: which is in use, activation, roll-back and deletion. */
import { badge, card, command, confirm, empty, h, table } from './elements.js';
import { bytes, count, moment } from './numbers.js';
import { Refused } from './server.js';

/** Milliseconds between two looks while a release is being loaded, and otherwise. */
const LOADING_MS = 1_000;
const IDLE_MS = 10_000;

export class Releases {
  #server;
  #refresh;
  #list = null;
  /** The outcome of the last action: `{ text, tone }`. */
  #outcome = null;
  #busy = false;

  /** `refresh` loads and shows the view again. */
  constructor(server, refresh) {
    this.#server = server;
    this.#refresh = refresh;
  }

  get interval() {
    return this.#list?.loading ? LOADING_MS : IDLE_MS;
  }

  async load() {
    try {
      this.#list = await this.#server.get('releases');
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      this.#list = null;
    }
  }

  page() {
    const list = this.#list;
    if (list === null) return [h('h1', {}, 'Releases'), noFolder()];
    return [
      h('h1', {}, 'Releases'),
      h(
        'p',
        { class: 'lead' },
        'Release ',
        h('code', {}, list.in_use),
        ' is in use. A new one is tried and loaded beside it, and replaces it when it is ready. One that cannot be used is refused, and nothing changes.',
      ),
      this.#status(list),
      card(
        'On this server',
        table(
          'Releases',
          [
            ['Release'],
            ['State'],
            ['Catalogue'],
            ['Models'],
            ['Size', 'number'],
            ['Written', 'fixed'],
            [''],
          ],
          list.releases.map((release) => this.#row(release, list)),
        ),
        ...list.refused.map(refusal),
        h(
          'div',
          { class: 'buttons' },
          h(
            'button',
            {
              type: 'button',
              class: 'plain',
              id: 'rollback',
              disabled: list.previous === null || this.#isBusy(list),
              onclick: () => this.#rollBack(list),
            },
            list.previous === null ? 'Roll back' : `Roll back to ${list.previous}`,
          ),
        ),
        list.previous === null
          ? h('p', { class: 'quiet' }, 'No earlier release is there to roll back to.')
          : null,
      ),
      card('Activations', activations(list.activations)),
      card(
        'Send a release to this server',
        h('p', {}, 'On the machine that trains, with an admin key in the variable TANDEM_KEY:'),
        command(
          `tandem publish --out FOLDER --to ${new URL('..', location.href).href.replace(/\/$/, '')}`,
        ),
      ),
    ];
  }

  #isBusy(list) {
    return this.#busy || list.loading !== null;
  }

  #status(list) {
    const outcome = list.loading
      ? { text: `Release ${list.loading.release} is being tried and loaded …`, tone: 'busy' }
      : this.#outcome;
    return h(
      'p',
      { id: 'outcome', role: 'status', class: `outcome ${outcome?.tone ?? ''}` },
      outcome?.text ?? '',
    );
  }

  #row(release, list) {
    const { name, dataset, items, small_model: small, language_model_bytes: large } = release;
    const models = [
      small,
      large === null ? 'no language model' : `language model, ${bytes(large)}`,
      release.signals ? 'ranking signals' : null,
    ];
    return [
      h('code', {}, name),
      state(release, list),
      dataset === null ? 'unreadable' : `${dataset}, ${count(items ?? 0)} items`,
      models.filter((model) => model !== null).join(', '),
      bytes(release.bytes),
      moment(release.written),
      release.in_use ? '' : h('span', { class: 'buttons' }, ...this.#actions(release, list)),
    ];
  }

  #actions({ name }, list) {
    const button = (text, act) =>
      h(
        'button',
        {
          type: 'button',
          class: 'plain',
          disabled: this.#isBusy(list),
          'aria-label': `${text} release ${name}`,
          onclick: act,
        },
        text,
      );
    return [
      button('Activate', () => this.#activate(name)),
      button('Delete', () => this.#delete(name)),
    ];
  }

  async #activate(name) {
    const text = `Visitors get lists of release ${name} as soon as it is loaded. The release in use stays until then.`;
    if (!(await confirm('Activate the release?', text, 'Activate'))) return;
    await this.#act(`releases/${name}/activate`, name);
  }

  async #rollBack({ previous }) {
    const text = `Visitors get lists of release ${previous} again as soon as it is loaded.`;
    if (!(await confirm('Roll back?', text, 'Roll back'))) return;
    await this.#act('releases/rollback', previous);
  }

  async #act(path, name) {
    this.#outcome = { text: `Release ${name} is being tried and loaded …`, tone: 'busy' };
    await this.#while(async () => {
      const answer = await this.#server.post(path);
      // Loading takes longer than a request may: the list shows the outcome.
      if (answer.state === 'loading') return null;
      return { text: `Release ${answer.release} is in use.`, tone: 'good' };
    });
  }

  async #delete(name) {
    const text = `The files of release ${name} are removed from the disk of the server. Devices that have loaded it load the release in use.`;
    if (!(await confirm('Delete the release?', text, 'Delete'))) return;
    await this.#while(async () => {
      await this.#server.delete(`releases/${name}`);
      return { text: `Release ${name} was deleted.`, tone: 'good' };
    });
  }

  async #while(task) {
    this.#busy = true;
    void this.#refresh();
    try {
      this.#outcome = await task();
    } catch (error) {
      const isRefused = error instanceof Refused && error.code === 'release_refused';
      const text = isRefused
        ? 'The release was refused, for the reason below. The release in use stays.'
        : error.message;
      this.#outcome = { text, tone: 'bad' };
    }
    this.#busy = false;
    await this.#refresh();
  }
}

function state(release, list) {
  if (release.in_use) return badge('in use', 'good');
  if (list.loading?.release === release.name) return badge('loading', 'busy');
  if (release.refused !== null) return badge('refused', 'bad');
  return badge('ready to use');
}

function refusal({ release, at, reason }) {
  return h(
    'p',
    { class: 'problem' },
    'Release ',
    h('code', {}, release),
    ` was refused at ${moment(at)}: ${reason}`,
  );
}

function activations(activations) {
  if (activations.length === 0) {
    return empty(
      'No release was activated since the start of the server. With --storage, activations are kept.',
    );
  }
  const rows = activations.map(({ at, release, previous, caller }) => [
    moment(at),
    h('code', {}, release),
    previous === null ? '–' : h('code', {}, previous),
    CALLERS[caller] ?? ['key ', h('code', {}, caller)],
  ]);
  return table('Activations', [['Time', 'fixed'], ['Release'], ['Before'], ['By']], rows);
}

const CALLERS = {
  server: 'the server, from the file current',
  local: 'this machine, without a key',
};

function noFolder() {
  return card(
    'No folder of releases',
    h(
      'p',
      {},
      'This server was started with single files. To switch between releases, start it with a folder of releases, which tandem quickstart makes:',
    ),
    command('cloud-server --release FOLDER'),
  );
}
