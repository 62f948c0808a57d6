// A list to choose one from, or none: "Any service".
interface Props {
  /** The name for assistive technology, where no label stands beside. */
  label?: string;
  /** What no choice is called. */
  any: string;
  names: string[];
  chosen: string;
  testid: string;
  /** Whether `/` goes here. */
  isSearch?: boolean;
  onChoose: (name: string) => void;
}

export function Choice({ label, any, names, chosen, testid, isSearch, onChoose }: Props) {
  // The chosen one is there although it may have no traffic in this range.
  const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
  return (
    <select
      class="input"
      aria-label={label}
      data-search={isSearch}
      data-testid={testid}
      value={chosen}
      onChange={(event) => onChoose(event.currentTarget.value)}
    >
      <option value="">{any}</option>
      {all.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

export const sortedNames = (names: string[]): string[] => [...new Set(names)].sort();
