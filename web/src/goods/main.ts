import '../styles/base.css';
import '../styles/header.css';
import '../styles/chips.css';
import '../styles/goods.css';
import { senderOf, siteInfo } from '../site-info.ts';
import { GoodsShop } from './store.ts';
import { goodsPage } from './view.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');

const site = siteInfo(document);
const shop = new GoodsShop(
  {
    server: './',
    goods: site.goods,
    ...(site.release === null ? {} : { send: senderOf(site) }),
  },
  (state) => render(state),
);
const render = goodsPage(root, shop, site);
void shop.open();
