'use client';

import { TandemProvider, useRecommendations } from '@tandem-rec/client/react';

/** Rendered on the server without items; the first list is requested in the browser. */
export function RecommendedItems({ server }) {
  return (
    <TandemProvider options={{ server }}>
      <List />
    </TandemProvider>
  );
}

function List() {
  const { items, decision, error, track } = useRecommendations({ k: 12 });
  return (
    <>
      <p role="status">{error?.message ?? decision?.reason ?? 'Loading …'}</p>
      <ol>
        {items.map(({ item, title }) => (
          <li key={item}>
            <button type="button" data-item={item} onClick={() => track({ type: 'click', item })}>
              {title ?? `Item ${item}`}
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}
