// The start page: studies by QIDO-RS, pictures by WADO-RS. Text from DICOM only ever becomes text nodes.

const root = "/dicomweb";
const $ = (id) => document.getElementById(id);

const el = (tag, attributes = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...children);
  return node;
};

const ask = async (path) => {
  const answer = await fetch(path.startsWith("/") ? path : `${root}/${path}`, { headers: { Accept: "application/dicom+json, application/json" } });
  if (!answer.ok) throw new Error(`${answer.status} for ${path}`);
  return answer.status === 204 ? [] : answer.json();
};

const server = ask("/server.json");

// --- DICOM JSON values as people write them (PS3.18 F.2, PS3.5 6.2) ---

const values = (ds, tag) => ds[tag]?.Value ?? [];
const text = (ds, tag) => String(values(ds, tag)[0] ?? "").trim();

const name = (ds) => {
  const groups = values(ds, "00100010")[0] ?? {};
  const [family, given, middle] = (groups.Alphabetic ?? groups.Ideographic ?? groups.Phonetic ?? "").split("^");
  const first = [given, middle].filter(Boolean).join(" ");
  return [family, first].filter(Boolean).join(", ") || "No name";
};

const day = (da) => {
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(da);
  if (!found) return "";
  const date = new Date(+found[1], +found[2] - 1, +found[3]);
  return date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
};

const sex = { M: "male", F: "female", O: "other" };
const plural = (count, what) => `${count} ${what}${+count === 1 || what.endsWith("s") ? "" : "s"}`;
const badges = (modalities) => modalities.map((m) => el("span", { className: "badge", textContent: m }));
const joined = (...parts) => parts.filter(Boolean).join(" · ");

// --- Studies ---

const studyUid = (ds) => text(ds, "0020000D");
const seriesUid = (ds) => text(ds, "0020000E");
const picture = (path, size) => {
  const image = el("img", { src: `${root}/${path}/thumbnail?viewport=${size},${size}`, loading: "lazy", alt: "", width: size / 2, height: size / 2 });
  image.addEventListener("error", () => { image.src = "/nothing.svg"; }, { once: true });
  return image;
};

const studyItem = (ds) => {
  const item = el("li", { tabIndex: 0 },
    picture(`studies/${studyUid(ds)}`, 144),
    el("div", {},
      el("p", { className: "name", textContent: name(ds) }),
      el("p", { className: "line" }, el("b", { textContent: text(ds, "00081030") || "No description" })),
      el("p", { className: "line" }, ...badges(values(ds, "00080061")),
        joined(day(text(ds, "00080020")), plural(text(ds, "00201208"), "image")))));
  item.dataset.uid = studyUid(ds);
  item.addEventListener("click", () => openStudy(ds));
  item.addEventListener("keydown", (event) => {
    if (event.key === "Enter") openStudy(ds);
    if (event.key === "ArrowDown") item.nextElementSibling?.focus();
    if (event.key === "ArrowUp") item.previousElementSibling?.focus();
  });
  return item;
};

const criteria = (term) => {
  if (!term) return [""];
  const value = encodeURIComponent(term);
  return [`&fuzzymatching=true&PatientName=*${value}*`, `&PatientID=*${value}*`];
};

let asked = 0;
const listStudies = async (term) => {
  const turn = ++asked;
  const fields = "&includefield=StudyDescription,ModalitiesInStudy,NumberOfStudyRelatedInstances,PatientBirthDate,PatientSex";
  const answers = await Promise.all(criteria(term).map((filter) => ask(`studies?limit=100${fields}${filter}`)));
  if (turn !== asked) return;
  const studies = [...new Map(answers.flat().map((ds) => [studyUid(ds), ds])).values()];
  $("list").replaceChildren(...studies.map(studyItem));
  $("count").textContent = studies.length === 100 ? "The newest 100 studies" : studies.length === 1 ? "1 study" : `${studies.length} studies`;
  $("empty").hidden = studies.length > 0;
  $("welcome").hidden = Boolean(term) || studies.length > 0;
  $("studies").hidden = !$("welcome").hidden;
  if (studies.length === 0) $("study").hidden = true;
  const wanted = location.hash.slice(1);
  const first = studies.find((ds) => studyUid(ds) === wanted) ?? studies[0];
  if (first) await openStudy(first);
};

const mark = (list, uid) => {
  for (const item of list.children) {
    const current = item.dataset.uid === uid;
    item.setAttribute("aria-current", String(current));
    if (current) item.scrollIntoView({ block: "nearest" });
  }
};

const openStudy = async (ds) => {
  const uid = studyUid(ds);
  history.replaceState(null, "", `#${uid}`);
  mark($("list"), uid);
  const born = day(text(ds, "00100030"));
  $("title").replaceChildren(
    el("h2", { textContent: name(ds) }),
    el("p", { className: "line", textContent: joined(text(ds, "00100020"), born && `born ${born}`, sex[text(ds, "00100040")]) }),
    el("p", { className: "line", textContent: joined(text(ds, "00081030"), day(text(ds, "00080020"))) }),
    ...((await server).viewer ? [el("a", { className: "open", href: `/viewer/viewer?StudyInstanceUIDs=${uid}`, textContent: "Open in the viewer" })] : []));
  const all = await ask(`studies/${uid}/series?includefield=SeriesDescription,NumberOfSeriesRelatedInstances`);
  $("series").replaceChildren(...all.map((one) => seriesItem(uid, one)));
  $("study").hidden = false;
  if (all.length) await openSeries(uid, all[0]);
};

const seriesItem = (study, ds) => {
  const item = el("li", { tabIndex: 0 },
    picture(`studies/${study}/series/${seriesUid(ds)}`, 304),
    el("p", { className: "line" }, el("b", { textContent: text(ds, "0008103E") || `Series ${text(ds, "00200011")}` })),
    el("p", { className: "line" }, ...badges(values(ds, "00080060")), plural(text(ds, "00201209"), "image")));
  item.dataset.uid = seriesUid(ds);
  item.addEventListener("click", () => openSeries(study, ds));
  item.addEventListener("keydown", (event) => event.key === "Enter" && openSeries(study, ds));
  return item;
};

// --- Images ---

let frames = [];
let label = "";

const openSeries = async (study, ds) => {
  const series = `studies/${study}/series/${seriesUid(ds)}`;
  mark($("series"), seriesUid(ds));
  const instances = await ask(`${series}/instances?includefield=InstanceNumber,NumberOfFrames`);
  instances.sort((a, b) => text(a, "00200013") - text(b, "00200013"));
  frames = instances.flatMap((one) => Array.from({ length: +text(one, "00280008") || 1 },
    (_, n) => `${root}/${series}/instances/${text(one, "00080018")}/frames/${n + 1}/rendered`));
  label = joined(text(ds, "0008103E"), text(ds, "00080060"));
  $("slider").max = frames.length;
  show(Math.ceil(frames.length / 2));
};

const show = (number) => {
  if (!frames.length) return;
  const at = Math.min(frames.length, Math.max(1, number));
  $("slider").value = at;
  $("image").src = frames[at - 1];
  $("image").alt = `Image ${at} of ${frames.length}`;
  $("caption").textContent = label;
  $("position").textContent = `${at} / ${frames.length}`;
  // The next ones in both directions are fetched now, so that scrolling does not wait.
  for (const next of [at, at + 1, at - 2]) if (frames[next]) new Image().src = frames[next];
};

const step = (by) => show(+$("slider").value + by);
$("slider").addEventListener("input", () => step(0));
$("viewer").addEventListener("wheel", (event) => { event.preventDefault(); step(Math.sign(event.deltaY)); }, { passive: false });
$("viewer").addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
  if (by && event.target !== $("slider")) { event.preventDefault(); step(by); }
});

// What has no pixels, such as a report, and what is no picture, such as a video, still has a thumbnail.
$("image").addEventListener("error", () => {
  const sign = $("image").src.replace(/\/frames\/\d+\/rendered$/, "/thumbnail?viewport=512,512");
  $("image").src = sign === $("image").src ? "/nothing.svg" : sign;
});

// --- Connect ---

const commands = (server) => {
  const url = location.origin + root;
  const lines = [];
  if (server.dimse_port) {
    const peer = `-aec ${server.ae_title} ${location.hostname} ${server.dimse_port}`;
    lines.push(["Test the connection", `echoscu ${peer}`], ["Send a folder of images", `storescu -R +sd +r ${peer} FOLDER`]);
  }
  lines.push(["Import files, a folder, a zip file or a CD", "pacs import PATH"], ["Ask over DICOMweb", `curl "${url}/studies?limit=10"`]);
  return lines.flatMap(([what, line]) => [el("p", { textContent: what }), el("pre", { textContent: line })]);
};

const describe = async () => {
  for (const place of document.querySelectorAll(".commands")) place.replaceChildren(...commands(await server));
};

$("connect").addEventListener("click", () => $("connection").showModal());
let typing;
$("term").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => listStudies($("term").value.trim()), 200); });
$("search").addEventListener("submit", (event) => { event.preventDefault(); listStudies($("term").value.trim()); });

await Promise.all([describe(), listStudies("")]);
