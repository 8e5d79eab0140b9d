import { mount } from 'svelte';
import RecommendedItems from './RecommendedItems.svelte';

const target = document.querySelector<HTMLElement>('#app');
if (target !== null) {
  mount(RecommendedItems, { target, props: { server: target.dataset['server'] ?? '' } });
}
