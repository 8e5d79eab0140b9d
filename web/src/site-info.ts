/**
 * What the page was served with. `cargo xtask demo` writes it into the page's head; without
 * it (the development server) everything is absent.
 */
export interface SiteInfo {
  /** Visitors whom the models were not trained on, to replay. */
  visitors: string | null;
  /** The shop with generated products. */
  secondShop: string | null;
  /** The film shop. */
  firstShop: string | null;
  /** Prices and stock of the products. */
  goods: string | null;
  /** The page that trains on the visitor's own files. */
  ownShop: string | null;
  /** On that page: proves to the local server that a request comes from it. */
  ownToken: string | null;
  /** Says what the demo still prepares while its page is up. */
  parts: string | null;
  /** Of a site without a server: the folder of the artefacts and of the lists made in advance. */
  release: string | null;
}

export function siteInfo(document: Pick<Document, 'querySelector'>): SiteInfo {
  const content = (name: string): string | null =>
    document.querySelector(`meta[name="tandem-${name}"]`)?.getAttribute('content') ?? null;
  return {
    visitors: content('visitors'),
    secondShop: content('second-shop'),
    firstShop: content('first-shop'),
    goods: content('goods'),
    ownShop: content('own-shop'),
    ownToken: content('own-token'),
    parts: content('parts'),
    release: content('release'),
  };
}

/** The `fetch` of page and package; on a site without a server its files answer. */
export function senderOf({ release }: SiteInfo): typeof fetch {
  if (release === null) return (...request) => fetch(...request);
  // Loaded only where it is used.
  const server = import('./static-site/static-server.ts').then(({ staticServer }) =>
    staticServer(new URL(release, document.baseURI).href, (...request) => fetch(...request)),
  );
  return async (...request) => (await server)(...request);
}
