// `?`: every key that works on this page.
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { groups } from './shortcuts';

const ARROWS: Record<string, string> = { ArrowDown: '↓', ArrowUp: '↑', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc' };

export function HelpDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      class="help"
      onClose={onClose}
      aria-labelledby="help-title"
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <header class="row">
        <h2 id="help-title" class="grow">
          Keyboard
        </h2>
        <button type="button" class="button quiet icon-only" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div class="help-groups">
        {open &&
          groups.value.toReversed().map((group) => (
            <section key={group.title}>
              <h3>{group.title}</h3>
              <dl>
                {group.shortcuts.map((one) => (
                  <div key={one.keys}>
                    <dt>
                      {one.keys.split(' ').map((key, index) =>
                        key === '/' && one.keys !== '/' ? (
                          <span key={index}> or </span>
                        ) : (
                          <kbd key={index} class="kbd">
                            {ARROWS[key] ?? key}
                          </kbd>
                        ),
                      )}
                    </dt>
                    <dd>{one.what}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
      </div>
      <p class="muted small-text">
        All times are UTC. Every page's state is in its address: copy it to share what you see.
      </p>
    </dialog>
  );
}
