import { createTandem } from '@tandem-rec/client/vue';
import { createApp } from 'vue';
import RecommendedItems from './RecommendedItems.vue';

const app = document.querySelector<HTMLElement>('#app');
if (app !== null) {
  createApp(RecommendedItems)
    .use(createTandem({ server: app.dataset['server'] ?? '' }))
    .mount(app);
}
