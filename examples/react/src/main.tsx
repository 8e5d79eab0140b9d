import { TandemProvider } from '@tandem-rec/client/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RecommendedItems } from './RecommendedItems.tsx';

const app = document.querySelector<HTMLElement>('#app');
if (app !== null) {
  createRoot(app).render(
    <StrictMode>
      <TandemProvider options={{ server: app.dataset['server'] ?? '' }}>
        <RecommendedItems />
      </TandemProvider>
    </StrictMode>,
  );
}
