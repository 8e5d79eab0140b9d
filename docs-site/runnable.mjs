/**
 * Examples that readers can run: each block of TypeScript that creates a recommender becomes a
 * module, with a button below it. The module is a function, because a strict policy forbids `eval`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK =
  /<pre><code class="(?:ts|js|typescript|javascript)">([\s\S]*?)<\/code>[\s\S]*?<\/pre>/g;
const IMPORT = /^import \{ createRecommender \} from '@tandem-rec\/client';\n+/;
/** What an example calls its own server and item. */
const PLACEHOLDERS = { "'https://rec.example.com'": 'server', "'sku-42'": 'item' };
const ENTITIES = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };

/** The examples of the site's pages, in the order of their pages. */
export class Runnable {
  #modules = new Map();

  /** The page with a button below each example that can be run. `base`: the way to the site's root. */
  adapt(html, page, base) {
    let count = 0;
    const adapted = html.replace(BLOCK, (block, highlighted) => {
      const source = textOf(highlighted);
      if (!IMPORT.test(source)) return block;
      count += 1;
      const name = `${page.replace(/\W+/g, '-')}-${count}`;
      this.#modules.set(name, moduleOf(source));
      return `${block}${controls(name)}`;
    });
    const script = `<script type="module" src="${base}assets/run.js"></script>`;
    return count === 0 ? html : adapted.replace('</head>', `${script}</head>`);
  }

  /**
   * Writes the modules into the folder of the site's assets. The demo puts `run.js` in the place of
   * the empty script: without the demo there is nothing to run them with, and nothing is requested.
   */
  write(assets) {
    writeFileSync(join(assets, 'run.js'), '// The demo replaces this file.\n');
    const folder = join(assets, 'examples');
    mkdirSync(folder, { recursive: true });
    for (const [name, source] of this.#modules) writeFileSync(join(folder, `${name}.js`), source);
  }
}

/** The text of highlighted code. */
function textOf(html) {
  return html
    .replace(/<br\s*\/?>/g, '\n')
    .replace(/<[^>]*>/g, '')
    .replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity]);
}

/** A function with the example as its body, which returns what the example declares. */
export function moduleOf(source) {
  let body = source.replace(IMPORT, '');
  for (const [text, name] of Object.entries(PLACEHOLDERS)) body = body.replaceAll(text, name);
  const declared = [...body.matchAll(/^const (?:\{ ([\w, ]+) \}|(\w+)) =/gm)].flatMap(
    ([, names, name]) => names?.split(', ') ?? [name],
  );
  return [
    'export async function run({ createRecommender, server, item, show }) {',
    '  const paint = show;',
    body.trim().replace(/^(?=.)/gm, '  '),
    `  return { ${declared.join(', ')} };`,
    '}',
    '',
  ].join('\n');
}

function controls(name) {
  return (
    `<div class="run" data-example="${name}" hidden>` +
    '<button type="button">Run</button> <span class="with"></span> <output></output></div>'
  );
}
