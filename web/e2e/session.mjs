import { ShopPage } from './shop-page.mjs';

/** Positions on the shelf that are clicked, one after another. */
const POSITIONS = [0, 3, 1, 5, 2, 7, 0, 4, 6, 1, 3, 2];

/** Number of clicks after which a visit without a call of the policy is a failure: a list is at
 * most 20 clicks old. */
const MOST_CLICKS = 25;

/** Number of films in MovieLens 100K. */
const FILMS = 1682;
/** Codes of requests that the policy made; not those without a list for the history. */
const POLICY_CODES = ['rankings_disagree', 'fresh_list_helps', 'many_clicks'];
/** Default number of candidates per list. */
const CANDIDATES = 50;

/**
 * Plays the session of a visitor: opens the page, selects the device, clicks, and checks every
 * list. All returned figures were measured by the page.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string, device: 'cpu' | 'webgpu', clicks: number, catalogue: Set<string>,
 *   assertions: import('./assertions.mjs').Assertions }} script
 */
export async function session(browser, { url, device, clicks, catalogue, assertions }) {
  const check = (name, holds, detail) => assertions.check(`${device}: ${name}`, holds, detail);
  const shop = await ShopPage.open(browser, url);
  try {
    await shop.ready();
    const first = await firstRecommendation(shop, device);
    const label = device === 'cpu' ? 'CPU' : 'WebGPU';
    const shown = await shop.part('status-device').textContent();
    check('the page shows the device in use', shown === label, `found ${shown}`);

    const steps = [];
    // Most clicks need no call: play on until there is one.
    const most = device === 'cpu' ? MOST_CLICKS : clicks;
    const goesOn = async () =>
      steps.length < clicks || (steps.length < most && !policyRequestedList(await shop.events()));
    while (await goesOn()) {
      const shelf = await shop.shelf();
      const item = shelf[POSITIONS[steps.length % POSITIONS.length] % shelf.length];
      steps.push(await shop.watch(item, { learnMs: device === 'cpu' ? 10_000 : 60_000 }));
    }
    const result = await summary(shop, steps, first, catalogue);
    checkResponses(check, await shop.responses(), catalogue);
    if (device === 'cpu') {
      check(
        'the policy led to a new list from the language model',
        result.policyRequestedList,
        JSON.stringify(result.decisions),
      );
    }
    checkSession(check, result, { clicks: steps.length, shelf: await shop.shelf(), catalogue });
    await checkPage(check, shop, result);
    await shop.screenshots(`session-${device}`);
    check('the page had no script errors', shop.faults.length === 0, shop.faults.join('; '));
    return result;
  } finally {
    await shop.close();
  }
}

/**
 * Milliseconds to the first list of films: on the CPU from navigation start, on WebGPU from the
 * click on its button, including the transfer of the session.
 */
async function firstRecommendation(shop, device) {
  const some = { items: 'some' };
  if (device === 'cpu') return (await shop.event('update', { like: some }))?.at ?? null;
  await shop.internals(true);
  const since = await shop.now();
  await shop.part(`device-${device}`).click();
  const ready = await shop.event('ready', { like: { device }, since });
  if (ready === null) throw new Error(`the page did not switch to ${device}`);
  const update = await shop.event('update', { like: some, since });
  await shop.internals(false);
  return update === null ? null : Math.max(ready.at, update.at) - since;
}

async function summary(shop, steps, first, catalogue) {
  const events = await shop.events();
  const updates = events.filter(({ name }) => name === 'update').map(({ payload }) => payload);
  const lists = updates.map(({ items, history }) => ({ items: items.map(ids), history }));
  const learnt = steps.flatMap(({ learn }) => (learn === null ? [] : [learn.payload]));
  const received = updates.filter(
    ({ cause, ranking, connection }) =>
      cause === 'request' && ranking === 'language_model' && connection.state === 'online',
  );
  return {
    unknown: lists.flatMap(({ items }) => items.filter((item) => !catalogue.has(item))),
    repeated: lists.filter(({ items }) => new Set(items).size !== items.length).length,
    seen: lists.flatMap(({ items, history }) => items.filter((item) => history.includes(item))),
    lengths: lists.map(({ items }) => items.length),
    model: received.at(-1)?.model ?? null,
    serverMs: received.map(({ timings }) => timings.serverMs).filter((ms) => ms !== null),
    last: updates.at(-1),
    decisions: events
      .filter(({ name }) => name === 'decision')
      .map(({ payload: { click, action, reason } }) => ({ click, action, reason })),
    policyRequestedList: policyRequestedList(events),
    learnt,
    backgroundErrors: events
      .filter(({ name }) => name === 'error')
      .map(({ payload }) => payload.message),
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
 * Whether the policy led to a request for a new list, and a list of the language model
 * followed.
 */
function policyRequestedList(events) {
  return events.some(({ name, payload }, at) => {
    if (name !== 'decision' || payload.action !== 'request') return false;
    if (!POLICY_CODES.includes(payload.code)) return false;
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

/** Checks the candidate lists as the server sent them. */
function checkResponses(check, responses, catalogue) {
  check(`the catalogue has ${FILMS} films`, catalogue.size === FILMS, `${catalogue.size}`);
  check('the server sent lists', responses.length > 0);
  const wrong = responses.flatMap((response) => faultsOf(response, catalogue));
  check('every list of the server is complete and valid', wrong.length === 0, wrong.join('; '));
}

function faultsOf({ unread, request, candidates }, catalogue) {
  if (unread !== undefined) return [`a response is not valid JSON: ${unread}`];
  const items = candidates.map(ids);
  const wanted = Math.min(request.k ?? CANDIDATES, CANDIDATES);
  const barred = new Set([...request.history, ...(request.exclude ?? [])]);
  return [
    [items.length !== wanted, `${items.length} candidates instead of ${wanted}`],
    [new Set(items).size !== items.length, 'duplicate candidates'],
    [!items.every((item) => catalogue.has(item)), 'candidates outside the catalogue'],
    [items.some((item) => barred.has(item)), 'candidates from history or exclude list'],
  ].flatMap(([is, fault]) => (is ? [fault] : []));
}

function checkSession(check, result, { clicks, shelf, catalogue }) {
  const { figures, learnt } = result;
  check('every candidate is in the catalogue', result.unknown.length === 0, result.unknown.join());
  check(
    'the shelf shows films of the catalogue',
    shelf.every((item) => catalogue.has(item)),
  );
  check('no list contains duplicates', result.repeated === 0, `${result.repeated} lists do`);
  check('no film of the history is recommended', result.seen.length === 0, result.seen.join());
  check('the last list is not empty', result.lengths.at(-1) > 0);
  check(`all ${clicks} clicks were counted`, figures.clicks === clicks, `${figures.clicks}`);
  check('the ranking changed after a click', figures.rank_changed_after_click);
  check('the device requested lists', figures.llm_calls > 0);
  check('the language model made a list', result.model !== null && result.serverMs.length > 0);
  check('the device made learning steps', learnt.length > 0);
  check(
    'learning steps lower the loss',
    sum(learnt.map((step) => step.lossAfter)) < sum(learnt.map((step) => step.lossBefore)),
    JSON.stringify(learnt),
  );
  check(
    'all figures are finite numbers',
    Object.values(figures).every((value) => value === true || Number.isFinite(value)),
    JSON.stringify(figures),
  );
  check('all scores are finite', result.last?.stats.nonFinite === 0);
  check(
    'every decision has a reason',
    result.decisions.length >= clicks && result.decisions.every(({ reason }) => reason !== ''),
    JSON.stringify(result.decisions),
  );
  check(
    'there were no background errors',
    result.backgroundErrors.length === 0,
    result.backgroundErrors[0],
  );
}

async function checkPage(check, shop, { decisions }) {
  const reason = await shop.part('decision-reason').textContent();
  check('the page shows the last reason', reason === decisions.at(-1)?.reason, reason ?? '');
  const calls = await shop.part('status-calls').textContent();
  check(
    'the page shows the number of calls that were made',
    calls === String(shop.calls),
    `found ${calls}, made ${shop.calls}`,
  );
  const notice = await shop.part('notice').textContent();
  check('the page names the source of the data', notice?.includes('GroupLens') === true);
}

/** Whether the order of the films in both lists changed with the click. */
function rankChanged({ before, update }) {
  if (before === null) return false;
  const [old, now] = [before.items.map(ids), update.items.map(ids)];
  const common = (list, other) => list.filter((item) => other.includes(item));
  return common(old, now).join() !== common(now, old).join();
}

const ids = ({ item }) => item;
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The median; `null` for an empty list. */
export function median(numbers) {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Rounds for display. */
export function rounded(number, digits = 2) {
  return number === null ? null : Number(number.toFixed(digits));
}
