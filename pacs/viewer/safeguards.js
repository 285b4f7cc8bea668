/* An extension of OHIF, loaded when it starts: what the published build lacks to open whatever an archive holds.

   1. An object that cannot be drawn costs its own viewport, not the whole page: the viewport says why and shows the
      picture that the server makes of it.
   2. Videos are known by their transfer syntax, whatever their SOP class: endoscopy, ultrasound, angiography.
   3. Slides that lack what the slide viewer takes for granted get the values that mean "nothing special".
   4. A parametric map is laid over the images that it was made from, whatever else their series holds.
   5. A report that the archive did not take leaves the list of series, where OHIF puts it before it is stored.
   6. A frame that cannot be fetched is no error of the page.

   It touches OHIF only through the arguments of `preRegistration` and imports nothing of it. */

const VIDEO = '@ohif/extension-dicom-video.sopClassHandlerModule.dicom-video';
const SLIDES = /\.sopClassHandlerModule\.DicomMicroscopySopClassHandler$/;
const MAPS = /\.sopClassHandlerModule\.dicom-pmap$/;
const VIEWPORT = /\.viewportModule\./;

/* Classes whose instances may be videos besides those that OHIF knows as such (PS3.5 8.2.5 to 8.2.8 name none). */
const MAYBE_VIDEO = [
  '1.2.840.10008.5.1.4.1.1.3.1', // Ultrasound Multi-frame
  '1.2.840.10008.5.1.4.1.1.12.1', // X-Ray Angiographic
  '1.2.840.10008.5.1.4.1.1.12.2', // X-Ray Radiofluoroscopic
  '1.2.840.10008.5.1.4.1.1.77.1.1', // VL Endoscopic
  '1.2.840.10008.5.1.4.1.1.77.1.2', // VL Microscopic
  '1.2.840.10008.5.1.4.1.1.77.1.4', // VL Photographic
  '1.2.840.10008.5.1.4.1.1.77.1.5.1', // Ophthalmic Photography 8 Bit
];
const H_264 = '1.2.840.10008.1.2.4.102';
const plays = codecs => document.createElement('video').canPlayType(`video/mp4; codecs="${codecs}"`) !== '';
const KINDS = [
  { name: 'MPEG-2', named: /^1\.2\.840\.10008\.1\.2\.4\.10[01](\.1)?$/, plays: () => false },
  { name: 'H.264', named: /^1\.2\.840\.10008\.1\.2\.4\.10[2-6](\.1)?$/, plays: () => plays('avc1.640028') },
  { name: 'H.265', named: /^1\.2\.840\.10008\.1\.2\.4\.10[78]$/, plays: () => plays('hvc1.1.6.L120.90') },
];

/* An element of React 18 without React, which OHIF keeps to itself. */
const element = (type, props) => ({
  $$typeof: Symbol.for('react.element'),
  type,
  key: null,
  ref: null,
  props,
  _owner: null,
});

const rendered = ({ StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID }) =>
  `/dicomweb/studies/${StudyInstanceUID}/series/${SeriesInstanceUID}/instances/${SOPInstanceUID}/rendered`;

/* What stands in a viewport instead of an object that could not be drawn. */
function Substitute({ displaySet, reason }) {
  const instance = displaySet?.instance ?? displaySet?.instances?.[0];
  const picture =
    instance &&
    element('img', {
      alt: '',
      src: rendered(instance),
      style: { minHeight: 0, flex: '1 1 0', width: '100%', objectFit: 'contain' },
    });
  const explanation = element('p', {
    style: { margin: 0 },
    children: `The viewer cannot draw this object (${reason}). Below is the picture that the server makes of it.`,
  });
  return element('div', {
    'data-cy': 'cannot-draw',
    style: {
      display: 'flex',
      flexDirection: 'column',
      gap: 16,
      width: '100%',
      height: '100%',
      padding: 16,
      color: '#fff',
      overflow: 'hidden',
      alignItems: 'center',
    },
    children: element(Both, { first: explanation, second: picture }),
  });
}

/* Two children without keys. */
const Both = ({ first, second }) => [
  { ...first, key: '1' },
  second && { ...second, key: '2' },
];

/* An error boundary: one viewport, until it gets something else to show. */
class Boundary {
  static getDerivedStateFromError(error) {
    return { error };
  }
  static getDerivedStateFromProps({ shown }, state) {
    return shown === state.shown ? null : { shown, error: null };
  }
  constructor(props) {
    this.props = props;
    this.state = { shown: props.shown, error: null };
  }
  render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return element(Substitute, { displaySet: this.props.displaySet, reason: error.message || String(error) });
  }
}
Boundary.prototype.isReactComponent = {};

const bounded = Component =>
  function BoundedViewport(props) {
    const displaySets = props.displaySets ?? [];
    const [displaySet] = displaySets;
    return element(Boundary, {
      shown: displaySets.map(({ displaySetInstanceUID }) => displaySetInstanceUID).join(),
      displaySet,
      children: displaySet?.cannotDraw
        ? element(Substitute, { displaySet, reason: displaySet.cannotDraw })
        : element(Component, props),
    });
  };

/* Every browser plays H.264, some play H.265, none plays MPEG-2. What does not play is shown as a picture. */
function videos(entry) {
  const make = entry.getDisplaySetsFromSeries;
  entry.sopClassUids.push(...MAYBE_VIDEO);
  entry.getDisplaySetsFromSeries = instances =>
    instances.flatMap(instance => {
      const syntax = String(instance.AvailableTransferSyntaxUID);
      const kind = KINDS.find(({ named }) => named.test(syntax));
      if (!kind) return make([instance]);
      instance.AvailableTransferSyntaxUID = H_264;
      const made = make([instance]);
      instance.AvailableTransferSyntaxUID = syntax;
      if (!kind.plays()) made.forEach(displaySet => (displaySet.cannotDraw = `this browser plays no ${kind.name} video`));
      return made;
    });
}

/* Type 1 attributes of a slide that the drawing relies on (PS3.3 C.8.12.4, C.8.12.5); nothing of this is stored. */
const BRIGHTFIELD = { CodeValue: '111744', CodingSchemeDesignator: 'DCM', CodeMeaning: 'Brightfield illumination' };

function slides(entry) {
  const make = entry.getDisplaySetsFromSeries;
  entry.getDisplaySetsFromSeries = (...args) => {
    for (const instance of args[0]) {
      instance.OpticalPathSequence ??= [{ OpticalPathIdentifier: '1' }];
      for (const path of [instance.OpticalPathSequence].flat()) path.IlluminationTypeCodeSequence ??= [BRIGHTFIELD];
      instance.TotalPixelMatrixOriginSequence ??= [
        { XOffsetInSlideCoordinateSystem: 0, YOffsetInSlideCoordinateSystem: 0 },
      ];
    }
    return make(...args);
  };
}

/* OHIF takes the first display set of the series that a map refers to, even when that is a report. */
function maps(entry, { displaySetService }) {
  const make = entry.getDisplaySetsFromSeries;
  entry.getDisplaySetsFromSeries = (...args) => {
    const made = make(...args) ?? [];
    for (const map of made) {
      map.getReferenceDisplaySet = () => {
        const candidates = displaySetService.getDisplaySetsForSeries(map.referencedSeriesInstanceUID) ?? [];
        const images = candidates.find(displaySet => displaySet.images?.length);
        if (!images) throw new Error('the images that it was made from are not in this study');
        map.referencedDisplaySetInstanceUID = images.displaySetInstanceUID;
        return images;
      };
    }
    return made;
  };
}

/* Extensions are loaded when their mode begins, so their modules are amended when somebody first asks for them. */
function amend(extensionManager, services) {
  const entryOf = extensionManager.getModuleEntry;
  const amended = new WeakSet();
  extensionManager.getModuleEntry = id => {
    const entry = entryOf(id);
    if (!entry || amended.has(entry)) return entry;
    if (id === VIDEO) videos(entry);
    else if (SLIDES.test(id)) slides(entry);
    else if (MAPS.test(id)) maps(entry, services);
    else if (VIEWPORT.test(id) && entry.component) entry.component = bounded(entry.component);
    else return entry;
    amended.add(entry);
    return entry;
  };
}

/* OHIF lists what it is about to store. Who reads on must not take it for saved. */
const guarded = new WeakSet();
function saves({ store }, { displaySetService }) {
  if (!store?.dicom || guarded.has(store)) return;
  guarded.add(store);
  const send = store.dicom;
  store.dicom = async (dataset, ...rest) => {
    try {
      return await send(dataset, ...rest);
    } catch (error) {
      const listed = displaySetService.getActiveDisplaySets();
      for (const { SOPInstanceUID, displaySetInstanceUID } of [...listed])
        if (SOPInstanceUID && SOPInstanceUID === dataset.SOPInstanceUID)
          displaySetService.deleteDisplaySet(displaySetInstanceUID);
      const status = error.status ? ` (status ${error.status})` : '';
      throw new Error(`The archive did not take it${status}. Everything is still here: save it again.`, { cause: error });
    }
  };
}

export default {
  id: 'pacs-safeguards',
  preRegistration({ extensionManager, servicesManager, appConfig }) {
    /* OHIF calls it without looking whether it is there. */
    appConfig.httpErrorHandler ??= () => {};
    amend(extensionManager, servicesManager.services);
  },
  onModeEnter({ extensionManager, servicesManager }) {
    saves(extensionManager.getActiveDataSource()[0], servicesManager.services);
  },
};
