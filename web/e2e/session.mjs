import { ShopPage } from './shop-page.mjs';

/** Places on the shelf that are clicked, by turns: not always the first. */
const PLACES = [0, 3, 1, 5, 2, 7, 0, 4, 6, 1, 3, 2];

/** Films of MovieLens 100K. */
const FILMS = 1682;
/** How many candidates the server gives if it is not asked for fewer. */
const CANDIDATES = 50;

/**
 * A visitor's session: opens the shop, chooses the device, clicks, and looks at every list
 * that is shown. Everything it returns was measured by the page itself.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string, device: 'cpu' | 'webgpu', clicks: number, catalogue: Set<string>,
 *   findings: import('./findings.mjs').Findings }} script
 */
export async function session(browser, { url, device, clicks, catalogue, findings }) {
  const that = (name, holds, detail) => findings.that(`${device}: ${name}`, holds, detail);
  const shop = await ShopPage.open(browser, url);
  try {
    await shop.ready();
    const first = await firstRecommendation(shop, device);
    const label = device === 'cpu' ? 'CPU' : 'WebGPU';
    const shown = await shop.part('status-device').textContent();
    that('the page says which device it uses', shown === label, `it says ${shown}`);

    const steps = [];
    for (let click = 0; click < clicks; click += 1) {
      const shelf = await shop.shelf();
      const item = shelf[PLACES[click % PLACES.length] % shelf.length];
      steps.push(await shop.watch(item, { learnMs: device === 'cpu' ? 10_000 : 60_000 }));
    }
    const result = await summary(shop, steps, first, catalogue);
    judgeAnswers(that, await shop.answers(), catalogue);
    if (device === 'cpu') {
      that(
        'the rankings disagreed, and a new list by the language model came of it',
        result.disagreed,
        JSON.stringify(result.decisions),
      );
    }
    judge(that, result, { clicks, shelf: await shop.shelf(), catalogue });
    await judgePage(that, shop, result);
    await shop.portraits(`session-${device}`);
    that('no script of the page failed', shop.faults.length === 0, shop.faults.join('; '));
    return result;
  } finally {
    await shop.close();
  }
}

/**
 * Milliseconds to the first list of films. On the CPU, where the shop starts, from the opening
 * of the page; on WebGPU from the press of its button, with the session carried over.
 */
async function firstRecommendation(shop, device) {
  const some = { items: 'some' };
  if (device === 'cpu') return (await shop.event('update', { like: some }))?.at ?? null;
  const since = await shop.now();
  await shop.part(`device-${device}`).click();
  const ready = await shop.event('ready', { like: { device }, since });
  if (ready === null) throw new Error(`the shop did not change to ${device}`);
  const update = await shop.event('update', { like: some, since });
  return update === null ? null : Math.max(ready.at, update.at) - since;
}

async function summary(shop, steps, first, catalogue) {
  const events = await shop.events();
  const updates = events.filter(({ name }) => name === 'update').map(({ payload }) => payload);
  const lists = updates.map(({ items, history }) => ({ items: items.map(ids), history }));
  const learnt = steps.flatMap(({ learn }) => (learn === null ? [] : [learn.payload]));
  const answers = updates.filter(
    ({ cause, ranking, connection }) =>
      cause === 'request' && ranking === 'language_model' && connection.state === 'online',
  );
  return {
    unknown: lists.flatMap(({ items }) => items.filter((item) => !catalogue.has(item))),
    repeated: lists.filter(({ items }) => new Set(items).size !== items.length).length,
    seen: lists.flatMap(({ items, history }) => items.filter((item) => history.includes(item))),
    lengths: lists.map(({ items }) => items.length),
    model: answers.at(-1)?.model ?? null,
    serverMs: answers.map(({ timings }) => timings.serverMs).filter((ms) => ms !== null),
    last: updates.at(-1),
    decisions: events
      .filter(({ name }) => name === 'decision')
      .map(({ payload: { click, action, reason } }) => ({ click, action, reason })),
    disagreed: disagreementAnswered(events),
    learnt,
    troubles: events.filter(({ name }) => name === 'error').map(({ payload }) => payload.message),
    figures: {
      first_recommendation_ms: rounded(first),
      rerank_ms_p50: rounded(median(steps.map(({ update }) => update.timings.rerankMs))),
      learn_ms_p50: rounded(median(learnt.map(({ ms }) => ms))),
      llm_calls: updates.at(-1)?.stats.calls ?? 0,
      clicks: updates.at(-1)?.stats.clicks ?? 0,
      rank_changed_after_click: steps.some(rankChanged),
      loss_first: rounded(learnt[0]?.lossBefore ?? null, 4),
      loss_last: rounded(learnt.at(-1)?.lossAfter ?? null, 4),
    },
  };
}

/**
 * Whether a disagreement of the two rankings made the device ask for a list, and the language
 * model's answer came after it.
 */
function disagreementAnswered(events) {
  return events.some(({ name, payload }, at) => {
    if (name !== 'decision' || payload.action !== 'request') return false;
    if (!payload.reason.startsWith('rankings disagree')) return false;
    const earlier = events.slice(0, at).findLast((event) => event.name === 'update');
    const calls = earlier?.payload.stats.calls ?? 0;
    return events
      .slice(at + 1)
      .some(
        (later) =>
          later.name === 'update' &&
          later.payload.cause === 'request' &&
          later.payload.ranking === 'language_model' &&
          later.payload.connection.state === 'online' &&
          later.payload.stats.calls > calls,
      );
  });
}

/** What the server sent, before the device made anything of it. */
function judgeAnswers(that, answers, catalogue) {
  that(`the catalogue has ${FILMS} films`, catalogue.size === FILMS, `${catalogue.size}`);
  that('lists of the server were seen', answers.length > 0);
  const wrong = answers.flatMap((answer) => faultsOf(answer, catalogue));
  that('every list of the server is complete and valid', wrong.length === 0, wrong.join('; '));
}

function faultsOf({ unread, request, candidates }, catalogue) {
  if (unread !== undefined) return [`an answer could not be read: ${unread}`];
  const items = candidates.map(ids);
  const wanted = Math.min(request.k ?? CANDIDATES, CANDIDATES);
  const barred = new Set([...request.history, ...(request.exclude ?? [])]);
  return [
    [items.length !== wanted, `${items.length} candidates instead of ${wanted}`],
    [new Set(items).size !== items.length, 'candidates twice'],
    [!items.every((item) => catalogue.has(item)), 'candidates that are not in the catalogue'],
    [items.some((item) => barred.has(item)), 'candidates that were seen or not wanted'],
  ].flatMap(([is, fault]) => (is ? [fault] : []));
}

function judge(that, result, { clicks, shelf, catalogue }) {
  const { figures, learnt } = result;
  that('every candidate is in the catalogue', result.unknown.length === 0, result.unknown.join());
  that(
    'the shelf shows films of the catalogue',
    shelf.every((item) => catalogue.has(item)),
  );
  that('no list holds a film twice', result.repeated === 0, `${result.repeated} lists do`);
  that('no film that was seen is recommended', result.seen.length === 0, result.seen.join());
  that('there is a list from the first one on', result.lengths.at(-1) > 0);
  that(`all ${clicks} clicks were counted`, figures.clicks === clicks, `${figures.clicks}`);
  that('the ranking changed after a click', figures.rank_changed_after_click);
  that('the cloud was asked', figures.llm_calls > 0);
  that('the language model made a list', result.model !== null && result.serverMs.length > 0);
  that('the device learnt', learnt.length > 0);
  that(
    'learning lowers the loss of what was learnt from',
    sum(learnt.map((step) => step.lossAfter)) < sum(learnt.map((step) => step.lossBefore)),
    JSON.stringify(learnt),
  );
  that(
    'every figure is a number',
    Object.values(figures).every((value) => value === true || Number.isFinite(value)),
    JSON.stringify(figures),
  );
  that('no score was other than a number', result.last?.stats.nonFinite === 0);
  that(
    'every decision has a reason',
    result.decisions.length >= clicks && result.decisions.every(({ reason }) => reason !== ''),
    JSON.stringify(result.decisions),
  );
  that('nothing went wrong in the background', result.troubles.length === 0, result.troubles[0]);
}

async function judgePage(that, shop, { figures, decisions }) {
  const reason = await shop.part('decision-reason').textContent();
  that('the page gives the last reason', reason === decisions.at(-1)?.reason, reason ?? '');
  const calls = await shop.part('status-calls').textContent();
  that('the page counts the calls', calls === String(figures.llm_calls), `it says ${calls}`);
  const notice = await shop.part('notice').textContent();
  that('the page names the source of its data', notice?.includes('GroupLens') === true);
}

/** Whether films that stand in both lists stand in another order after the click. */
function rankChanged({ before, update }) {
  if (before === null) return false;
  const [old, now] = [before.items.map(ids), update.items.map(ids)];
  const stay = (list, other) => list.filter((item) => other.includes(item));
  return stay(old, now).join() !== stay(now, old).join();
}

const ids = ({ item }) => item;
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The median; `null` of nothing. */
export function median(numbers) {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Fit for reading. */
export function rounded(number, digits = 2) {
  return number === null ? null : Number(number.toFixed(digits));
}
