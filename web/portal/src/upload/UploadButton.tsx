// The button that asks for files or a folder.

import { Button, Menu } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconFiles, IconFolder, IconUpload } from "@tabler/icons-react";
import { type ChangeEvent, useRef } from "react";

import { filesOf } from "./collect";
import type { Intake } from "./intake";

export function UploadButton({ take }: Pick<Intake, "take">) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  useHotkeys([["u", () => files.current?.click()]]);
  const chosen = (event: ChangeEvent<HTMLInputElement>) => {
    const list = event.currentTarget.files;
    if (list?.length) void take(Promise.resolve(filesOf(list)));
    event.currentTarget.value = "";
  };
  return (
    <>
      <Menu position="bottom-end" withArrow>
        <Menu.Target>
          <Button size="xs" className="upload-button" aria-label="Upload" title="Or drop files and folders anywhere on the page">
            <IconUpload size={16} />
            <span className="upload-word">Upload</span>
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconFiles size={16} />} onClick={() => files.current?.click()} rightSection="U">
            Files
          </Menu.Item>
          <Menu.Item leftSection={<IconFolder size={16} />} onClick={() => folder.current?.click()}>
            Folder
          </Menu.Item>
          <Menu.Label>Or drop them anywhere on the page.</Menu.Label>
        </Menu.Dropdown>
      </Menu>
      <input ref={files} type="file" multiple hidden onChange={chosen} aria-label="Files to upload" />
      <input ref={folder} type="file" {...{ webkitdirectory: "" }} hidden onChange={chosen} aria-label="Folder to upload" />
    </>
  );
}
