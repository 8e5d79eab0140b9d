/**
 * What the site needs beyond TypeDoc's options: names, groups and addresses of the pages, links
 * to folders as text, no inline scripts, buttons for examples, and links to the previous and the
 * next page.
 */
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import {
  Comment,
  CommentTag,
  Converter,
  JSX,
  KindRouter,
  PageEvent,
  ReflectionKind,
  RendererEvent,
} from 'typedoc';
import { FORGE_REFERENCE, GROUP_ORDER, HOME, MODULES, REFERENCE } from './navigation.mjs';
import { Runnable } from './runnable.mjs';

/** Address of the demo in the header, until the page's own address is known. */
export const DEMO = 'tandem:demo';

/** TypeDoc's inline script, which sets the colours. `theme.js` does the same. */
const INLINE_SCRIPT = /<script>document\.documentElement\.dataset\.theme[^<]*<\/script>/;
/** TypeDoc's element for the style of switches that this site does not have. */
const INLINE_STYLE = 'document.head.appendChild(document.createElement("style"))';
const FIRST_HEADING = /^# (.+)\n/;

/**
 * @param {import('typedoc').Application} app
 * @param {{ root: string, listed: import('./navigation.mjs').Page[] }} site
 */
export function adapt(app, { root, listed }) {
  const documents = new Documents(app, root, listed);
  const runnable = new Runnable();
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => documents.add(document));
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    documents.adaptHome(project);
    nameModules(project, root);
  });
  app.renderer.defineRouter('tandem', routerOf(documents));
  app.renderer.hooks.on('content.end', (context) => documents.neighbours(context));
  app.renderer.on(PageEvent.END, (page) => {
    if (!page.contents) return;
    const base = /data-base="([^"]*)"/.exec(page.contents)?.[1] ?? '';
    const html = withoutInlineScript(page.contents, base, app.logger);
    page.contents = runnable.adapt(html, page.url.replace(/\.html$/, ''), base);
  });
  app.renderer.on(RendererEvent.END, ({ outputDirectory }) => {
    const assets = join(outputDirectory, 'assets');
    copyFileSync(new URL('theme.js', import.meta.url), join(assets, 'theme.js'));
    runnable.write(assets);
    withoutInlineStyle(join(assets, 'main.js'), app.logger);
  });
}

class Documents {
  /** The pages of the site by their reflections. */
  #pages = new Map();

  constructor(app, root, listed) {
    this.app = app;
    this.root = root;
    this.listed = listed;
  }

  add(document) {
    const path = document.project.files.getReflectionPath(document);
    const page = this.#pageAt(path);
    this.#pages.set(document, page);
    document.name = page.title;
    document.frontmatter['group'] = page.group;
    document.content = this.#adaptLinks(document.content, dirname(path));
  }

  /** The home page has its title from the site. */
  adaptHome(project) {
    project.readme = this.#adaptLinks(project.readme, this.root);
    project.readme[0].text = project.readme[0].text.replace(FIRST_HEADING, '');
    project.files.registerReflectionPath(join(this.root, HOME), project);
  }

  slug(document) {
    return this.#pages.get(document)?.slug;
  }

  #pageAt(path) {
    const name = relative(this.root, path);
    return this.listed.find(({ file }) => file === name);
  }

  neighbours(context) {
    const all = [...this.#pages.keys()];
    const at = all.indexOf(context.page.model);
    if (at === -1) return JSX.createElement(JSX.Fragment, null);
    const link = (document, rel) =>
      document && JSX.createElement('a', { href: context.urlTo(document), rel }, document.name);
    return JSX.createElement(
      'nav',
      { class: 'neighbours', 'aria-label': 'Previous and next page' },
      link(all[at - 1], 'prev'),
      link(all[at + 1], 'next'),
    );
  }

  /**
   * Links to folders as text, because they exist on a forge but not on the site; links that show
   * the name of a file with the title of its page.
   */
  #adaptLinks(parts, folder) {
    const kept = [];
    let afterFolder = false;
    for (const part of parts) {
      const before = kept.at(-1);
      const path = part.kind === 'relative-link' && resolve(folder, part.text.replace(/#.*/, ''));
      if (path && !existsSync(path)) {
        this.app.logger.error(`a link leads to ${relative(this.root, path)}, which does not exist`);
      }
      const page = path && this.#pageAt(path);
      if (page) before.text = before.text.replace(/\[[^\]`]+\.md\]\($/, `[${page.title}](`);
      if (path && statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
        before.text = before.text.replace(/\[([^\]]*)\]\($/, '$1');
        afterFolder = true;
      } else if (afterFolder) {
        before.text += part.text.replace(/^\)/, '');
        afterFolder = false;
      } else kept.push({ ...part });
    }
    return kept;
  }
}

/** Names the modules as pages import them, and puts them into a group of their own. */
function nameModules(project, root) {
  for (const module of project.children ?? []) {
    if (!module.kindOf(ReflectionKind.Module)) continue;
    const source = Object.keys(MODULES).find((file) => nameOf(file) === module.name);
    module.name = MODULES[source];
    module.comment ??= new Comment();
    module.comment.blockTags.push(new CommentTag('@group', [{ kind: 'text', text: REFERENCE }]));
    if (module.name === '@tandem-rec/client') {
      project.files.registerReflectionPath(join(root, FORGE_REFERENCE), module);
    }
  }
}

/** TypeDoc's name of a module. */
const nameOf = (file) => file.replace(/(\/index)?\.ts$/, '');

/** Documents are beside the home page, modules and their exports in folders by kind. */
function routerOf(documents) {
  return class extends KindRouter {
    getIdealBaseName(reflection) {
      return documents.slug(reflection) ?? super.getIdealBaseName(reflection);
    }
  };
}

function withoutInlineScript(html, base, logger) {
  if (!INLINE_SCRIPT.test(html)) logger.error('TypeDoc has changed its script for the colours');
  return html
    .replace(
      INLINE_SCRIPT,
      `<script src="${base}assets/theme.js" data-groups="${GROUP_ORDER.join('|')}"></script>`,
    )
    .replace(DEMO, `${base}../`);
}

function withoutInlineStyle(script, logger) {
  const text = readFileSync(script, 'utf8');
  if (!text.includes(INLINE_STYLE)) logger.error('TypeDoc has changed its style for switches');
  writeFileSync(script, text.replace(INLINE_STYLE, 'document.createElement("style")'));
}
