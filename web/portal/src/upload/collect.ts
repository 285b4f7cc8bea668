// What was dropped or chosen: all files of it, those in folders too, with their paths.

export interface Found {
  file: File;
  /** Path below what was dropped, with the file's name. */
  path: string;
}

const IGNORED = /^(\.|thumbs\.db$|desktop\.ini$|DICOMDIR$)/i;

const children = async (folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> => {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  // A browser gives at most 100 entries at a time, and none when there are no more.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
};

const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

async function* below(entry: FileSystemEntry): AsyncGenerator<Found> {
  if (IGNORED.test(entry.name)) return;
  if (entry.isFile) yield { file: await fileOf(entry as FileSystemFileEntry), path: entry.fullPath.replace(/^\//, "") };
  else for (const child of await children(entry as FileSystemDirectoryEntry)) yield* below(child);
}

/** Must be called while the drop event is handled: its items are gone afterwards. */
export function entriesOf(transfer: DataTransfer): (FileSystemEntry | File)[] {
  const files = [...transfer.items].filter((item) => item.kind === "file");
  return files.map((item) => item.webkitGetAsEntry() ?? item.getAsFile()).filter((entry) => entry !== null);
}

export async function filesBelow(entries: (FileSystemEntry | File)[]): Promise<Found[]> {
  const found: Found[] = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, path: entry.name });
    else for await (const one of below(entry)) found.push(one);
  }
  return found;
}

export const filesOf = (list: FileList): Found[] =>
  [...list]
    .filter((file) => !IGNORED.test(file.name))
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }));
