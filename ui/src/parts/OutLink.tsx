// Links that definitions name: runbooks and dashboards.
import { href, safeHref } from '../app/router';
import { Icon, type IconName } from './Icon';

/** A dashboard may be named by its id alone. */
export function dashboardHref(named: string | null | undefined): string | null {
  return named && /^[\w-]+$/.test(named) ? `/dashboards/${named}` : (named ?? null);
}

/** A link from a definition. Ours keep the time range; others open in a new tab; what is not http(s) is not linked. */
export function OutLink({
  address,
  icon,
  label,
  primary,
}: {
  address: string | null | undefined;
  icon: IconName;
  label: string;
  primary?: boolean;
}) {
  const to = safeHref(address);
  if (!to) return null;
  const own = to.startsWith('/');
  return (
    <a
      class={`button ${primary ? 'primary' : ''}`}
      href={own ? href(to) : to}
      target={own ? undefined : '_blank'}
      rel="noreferrer"
    >
      <Icon name={icon} /> {label} {!own && <Icon name="external" />}
    </a>
  );
}
