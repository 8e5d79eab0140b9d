/**
 * The pictures of the documents, from a running demo: `cargo xtask screenshots`.
 *
 * Writes `docs/demo.png`, `docs/demo-dark.png` and the animation `docs/demo.webp`.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { launch } from './browser.mjs';
import { outputFile, serverUrl } from './environment.mjs';
import { ShopPage } from './shop-page.mjs';

const run = promisify(execFile);
const picture = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

const STILL = { width: 1280, height: 800 };
const ANIMATION = { width: 1200, height: 750, scaled: 900, framesPerSecond: 8 };
/** Maximum size of the animation in bytes. */
const LARGEST = 1_500_000;
/** Positions on the shelf that are clicked. */
const POSITIONS = [0, 2, 1, 3, 0, 2, 1];
/** Network delay of the animation, in milliseconds. */
const DELAY_MS = 1000;
/** How long the last frame is shown, in seconds. */
const LAST_S = 2.5;

const browser = await launch();
try {
  await stills();
  await animation();
} finally {
  await browser.close();
}

/** The same session in both colour schemes. */
async function stills() {
  const shop = await open(STILL);
  for (const position of POSITIONS) await shop.watch((await shop.shelf())[position]);
  await shop.page.mouse.move(0, 0);
  await shop.page.evaluate(() => window.scrollTo({ top: 0, behavior: 'instant' }));
  // The cloud-only side answers later.
  await pause(1500);
  for (const [colorScheme, name] of [
    ['light', 'demo.png'],
    ['dark', 'demo-dark.png'],
  ]) {
    await shop.page.emulateMedia({ colorScheme });
    await shop.page.screenshot({ path: picture(name), animations: 'disabled' });
  }
  await shop.close();
}

/** Clicks with a slow network, then without a network. */
async function animation() {
  const shop = await open(ANIMATION);
  await shop.part('delay').fill(String(DELAY_MS));
  await shop.page.evaluate(showPointer);
  const recording = await record(shop.page);
  await pause(800);
  for (const position of [0, 2, 1]) await clickFilm(shop, position);
  await point(shop.page, shop.part('toggle-offline'));
  await shop.page.mouse.down();
  await shop.page.mouse.up();
  await pause(700);
  for (const position of [2, 0]) await clickFilm(shop, position);
  await recording.end();
  await shop.close();
  await encode(recording.frames);
}

async function open(viewport) {
  const context = await browser.newContext({ viewport, colorScheme: 'light' });
  const shop = new ShopPage(await context.newPage());
  await shop.page.goto(serverUrl());
  await shop.ready();
  return shop;
}

async function clickFilm(shop, position) {
  const item = (await shop.shelf())[position];
  await point(shop.page, shop.card(item));
  await shop.page.mouse.down();
  await shop.page.mouse.up();
  await pause(1700);
}

/** Moves the pointer to the middle of an element, at the speed of a hand. */
async function point(page, element) {
  const { x, y, width, height } = await element.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2, { steps: 12 });
  await pause(250);
}

/** Runs in the page: headless browsers draw no pointer. */
function showPointer() {
  const pointer = document.createElement('div');
  Object.assign(pointer.style, {
    position: 'fixed',
    zIndex: '99',
    insetInlineStart: '0',
    insetBlockStart: '0',
    inlineSize: '18px',
    blockSize: '18px',
    borderRadius: '50%',
    background: 'rgb(20 22 28 / 55%)',
    border: '2px solid #fff',
    pointerEvents: 'none',
    transform: 'translate(600px, 300px)',
  });
  document.body.append(pointer);
  document.addEventListener('mousemove', ({ clientX, clientY }) => {
    pointer.style.transform = `translate(${clientX - 9}px, ${clientY - 9}px)`;
  });
  document.addEventListener('mousedown', () => {
    pointer.animate([{ scale: 1 }, { scale: 0.6 }, { scale: 1 }], 250);
  });
}

/** Records what the page shows, one PNG for each change. */
async function record(page) {
  const folder = outputFile('frames');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const frames = [];
  const writes = [];
  const session = await page.context().newCDPSession(page);
  session.on('Page.screencastFrame', ({ data, metadata, sessionId }) => {
    const file = join(folder, `${String(frames.length).padStart(4, '0')}.png`);
    frames.push({ file, at: metadata.timestamp });
    writes.push(writeFile(file, Buffer.from(data, 'base64')));
    // The session may have ended since.
    session.send('Page.screencastFrameAck', { sessionId }).catch(() => {});
  });
  await session.send('Page.startScreencast', { format: 'png' });
  return {
    frames,
    async end() {
      await session.send('Page.stopScreencast');
      await Promise.all(writes);
    },
  };
}

/** Makes an animated WebP of frames with times in seconds. */
async function encode(frames) {
  const list = frames.map(({ file, at }, index) => {
    const seconds = index + 1 < frames.length ? frames[index + 1].at - at : LAST_S;
    return `file '${file}'\nduration ${seconds.toFixed(3)}`;
  });
  const listed = outputFile('frames.txt');
  // The concat format ignores the duration of the last file, unless it is named once more.
  await writeFile(listed, [...list, `file '${frames.at(-1).file}'`].join('\n'));
  const { framesPerSecond, scaled } = ANIMATION;
  const filter = `fps=${framesPerSecond},scale=${scaled}:-1:flags=lanczos`;
  const target = picture('demo.webp');
  await run('ffmpeg', [
    ...['-y', '-loglevel', 'error', '-f', 'concat', '-safe', '0', '-i', listed],
    ...['-vf', filter, '-c:v', 'libwebp_anim', '-quality', '60', '-compression_level', '6'],
    ...['-loop', '0', '-an', target],
  ]);
  const { size } = await stat(target);
  console.log(`${frames.length} frames, ${Math.round(size / 1000)} kB`);
  if (size > LARGEST) {
    throw new Error(
      `the animation has ${size} bytes, at most ${LARGEST} are allowed: lower quality`,
    );
  }
}
