import '../styles/base.css';
import '../styles/header.css';
import '../styles/chips.css';
import '../styles/goods.css';
import '../styles/own.css';
import { siteInfo } from '../site-info.ts';
import { Helper } from './helper.ts';
import { OwnData } from './own-data.ts';
import { ownPage } from './view.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');

const site = siteInfo(document);
const render = ownPage(
  root,
  {
    choose: (kind, file) => data.choose(kind, file),
    drop: (files) => void data.drop(files),
    train: () => void data.train(),
    cancel: () => void data.cancel(),
  },
  site,
);
const data = new OwnData(new Helper(site.ownToken ?? ''), render);
void data.resume();
