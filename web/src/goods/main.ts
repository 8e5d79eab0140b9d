import '../styles/base.css';
import '../styles/header.css';
import '../styles/goods.css';
import { siteInfo } from '../site-info.ts';
import { staticServer } from '../static-server.ts';
import { GoodsShop } from './store.ts';
import { goodsPage } from './view.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');

const site = siteInfo(document);
const get: typeof fetch = (input, init) => fetch(input, init);
const shop = new GoodsShop(
  {
    server: './',
    goods: site.goods,
    fetch: site.staticRelease === null ? get : staticServer(site.staticRelease, get),
  },
  (state) => render(state),
);
const render = goodsPage(root, shop, site);
void shop.open();
