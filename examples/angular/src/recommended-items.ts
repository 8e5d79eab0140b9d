import { Component, ElementRef, inject } from '@angular/core';
import { Recommendations } from './recommendations';

@Component({
  selector: 'recommended-items',
  providers: [Recommendations],
  template: `
    <p role="status">
      {{ list.error()?.message ?? list.decision()?.reason ?? 'Loading …' }}
    </p>
    <ol>
      @for (entry of list.items(); track entry.item) {
        <li>
          <button type="button" [attr.data-item]="entry.item" (click)="list.click(entry.item)">
            {{ entry.title ?? 'Item ' + entry.item }}
          </button>
        </li>
      }
    </ol>
  `,
})
export class RecommendedItems {
  protected readonly list = inject(Recommendations);

  constructor() {
    const host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
    void this.list.open(host.dataset['server'] ?? '', 12);
  }
}
