// Catches a failure while drawing a page, so that one bad value cannot leave an empty screen.
import { Component, type ComponentChildren } from 'preact';
import { Empty } from '../parts/States';

export class Guard extends Component<{ children: ComponentChildren }, { failure: string | null }> {
  state = { failure: null as string | null };

  componentDidCatch(error: unknown): void {
    this.setState({ failure: error instanceof Error ? error.message : String(error) });
  }

  render() {
    if (this.state.failure === null) return this.props.children;
    return (
      <Empty title="This page could not be drawn" icon="error">
        <p class="mono">{this.state.failure}</p>
        <p>
          This is a fault in Daymark's web app; the data is unharmed and the API still answers.{' '}
          <a href={location.href} target="_self">
            Load the page anew
          </a>
          , or choose another page on the left.
        </p>
      </Empty>
    );
  }
}
