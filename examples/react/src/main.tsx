import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RecommendedItems } from './RecommendedItems.tsx';

const app = document.querySelector<HTMLElement>('#app');
if (app !== null) {
  createRoot(app).render(
    <StrictMode>
      <RecommendedItems server={app.dataset['server'] ?? ''} />
    </StrictMode>,
  );
}
