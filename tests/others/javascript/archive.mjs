// What a viewer's libraries see of an archive: dicomweb-client asks, dcmjs reads. Prints one JSON object.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
globalThis.XMLHttpRequest = require("xhr2");
globalThis.self = globalThis;
const { api } = require("dicomweb-client");
const dcmjs = require("dcmjs");
const { DicomMessage, DicomMetaDictionary } = dcmjs.data;

const [url, study, series, instance] = process.argv.slice(2);
const client = new api.DICOMwebClient({ url, singlepart: false });
const ids = { studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: instance };
const natural = (dataset) => DicomMetaDictionary.naturalizeDataset(dataset);
const read = (buffer) => natural(DicomMessage.readFile(buffer).dict);

const studies = await client.searchForStudies({ queryParams: { StudyInstanceUID: study } });
const seriesFound = await client.searchForSeries({ studyInstanceUID: study });
const instances = await client.searchForInstances({ studyInstanceUID: study, seriesInstanceUID: series });
const metadata = await client.retrieveSeriesMetadata(ids);
const file = await client.retrieveInstance(ids);
const files = await client.retrieveStudy({ studyInstanceUID: study });
const [frame] = await client.retrieveInstanceFrames({ ...ids, frameNumbers: [1] });
// With media types this version asks for text and spoils the picture, so it takes the default.
const [rendered] = await client.retrieveInstanceRendered(ids);

// A new object, made and stored by the libraries alone, and read back.
const dataset = read(file);
const copyUid = DicomMetaDictionary.uid();
dataset.SOPInstanceUID = copyUid;
const meta = DicomMessage.readFile(file).meta;
meta["00020003"].Value = [copyUid];
const copy = new dcmjs.data.DicomDict(meta);
copy.dict = DicomMetaDictionary.denaturalizeDataset(dataset);
await client.storeInstances({ datasets: [copy.write()] });
const back = read(await client.retrieveInstance({ ...ids, sopInstanceUID: copyUid }));

console.log(
  JSON.stringify({
    studies: studies.map((item) => natural(item).StudyInstanceUID),
    series: seriesFound.map((item) => natural(item).SeriesInstanceUID),
    instances: instances.map((item) => natural(item).SOPInstanceUID),
    metadata: metadata.map((item) => natural(item)).map((item) => [item.SOPInstanceUID, item.Rows, item.PixelSpacing]),
    patientName: dataset.PatientName?.[0]?.Alphabetic ?? String(dataset.PatientName),
    files: files.map((buffer) => read(buffer).SOPInstanceUID),
    frameBytes: Array.from(new Uint8Array(frame.slice(0, 64))),
    frameLength: frame.byteLength,
    rendered: Array.from(new Uint8Array(rendered.slice(0, 8))),
    copy: [copyUid, back.SOPInstanceUID, back.PixelData[0].byteLength],
  }),
);
