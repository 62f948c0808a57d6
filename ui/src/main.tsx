// Entry: styles, theme, router, keys, then the shell.
import { render } from 'preact';
import './styles/tokens.css';
import './styles/base.css';
import './styles/table.css';
import './styles/shell.css';
import { Shell } from './app/Shell';
import { startRouter } from './app/router';
import { startShortcuts } from './app/shortcuts';
import { startTheme } from './app/theme';

startTheme();
startRouter();
startShortcuts();
const root = document.getElementById('app');
if (root) render(<Shell />, root);
