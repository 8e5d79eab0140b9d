/**
 * What the page was served with. `cargo xtask demo` and `cargo xtask site` write it into the
 * page's head; without them (the development server) everything is absent.
 */
export interface SiteInfo {
  /** Visitors whom the models were not trained on, to replay. */
  visitors: string | null;
  /** The shop with generated products. */
  secondShop: string | null;
  /** The film shop. */
  firstShop: string | null;
  /** The page that trains a shop on dropped files. */
  ownData: string | null;
  /** Prices and stock of the products. */
  goods: string | null;
  /** Hash of the release of a site without a server, whose lists were made in advance. */
  staticRelease: string | null;
  /** What is still being made in the background: the address of its state. */
  background: string | null;
}

export function siteInfo(document: Pick<Document, 'querySelector'>): SiteInfo {
  const content = (name: string): string | null =>
    document.querySelector(`meta[name="tandem-${name}"]`)?.getAttribute('content') ?? null;
  return {
    visitors: content('visitors'),
    secondShop: content('second-shop'),
    firstShop: content('first-shop'),
    ownData: content('own-data'),
    goods: content('goods'),
    staticRelease: content('static'),
    background: content('background'),
  };
}
