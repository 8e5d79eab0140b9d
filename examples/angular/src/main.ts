import { provideZonelessChangeDetection } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import { RecommendedItems } from './recommended-items';

await bootstrapApplication(RecommendedItems, { providers: [provideZonelessChangeDetection()] });
