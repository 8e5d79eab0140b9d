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
}

export function siteInfo(document: Pick<Document, 'querySelector'>): SiteInfo {
  const content = (name: string): string | null =>
    document.querySelector(`meta[name="tandem-${name}"]`)?.getAttribute('content') ?? null;
  return {
    visitors: content('visitors'),
    secondShop: content('second-shop'),
    firstShop: content('first-shop'),
    goods: content('goods'),
  };
}
