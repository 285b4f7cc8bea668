// What the keys do.

import { Kbd, Modal, Table } from "@mantine/core";

const KEYS: [string[], string][] = [
  [["/"], "Search for a patient; Enter leads back into the list"],
  [["↑", "↓"], "One study up or down"],
  [["Page up", "Page down"], "Ten studies up or down"],
  [["Home", "End"], "First and last study of the page"],
  [["←", "→"], "The page before and the next"],
  [["Enter"], "Open the study in the viewer"],
  [["Space"], "Mark the study, to open several together"],
  [["?"], "This list"],
  [["Esc"], "Close a window"],
];

export function KeysDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keys">
      <Table withRowBorders={false}>
        <Table.Tbody>
          {KEYS.map(([keys, meaning]) => (
            <Table.Tr key={meaning}>
              <Table.Td className="keys">
                {keys.map((key) => (
                  <Kbd key={key} mr={4}>
                    {key}
                  </Kbd>
                ))}
              </Table.Td>
              <Table.Td>{meaning}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
