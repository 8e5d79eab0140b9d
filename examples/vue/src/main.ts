import { createApp } from 'vue';
import RecommendedItems from './RecommendedItems.vue';

const app = document.querySelector<HTMLElement>('#app');
if (app !== null) createApp(RecommendedItems, { server: app.dataset['server'] ?? '' }).mount(app);
