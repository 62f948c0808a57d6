// Whether the window is as narrow as a phone: the same bound as in the style sheets.
import { signal } from '@preact/signals';

const media = typeof window === 'undefined' ? null : matchMedia('(max-width: 700px)');

export const isNarrow = signal(media?.matches ?? false);
media?.addEventListener('change', (event) => (isNarrow.value = event.matches));
