/* An extension of OHIF, loaded when it starts: images that the published build fails to draw.

   1. An image that names its VOI LUT Function (PS3.3 C.11.2.1.3), as most mammograms do, stays black: the image loader
      takes the first letter of the name for the name (github.com/cornerstonejs/cornerstone3D issue 2844).
   2. Uncompressed images with half the colour (YBR_FULL_422, PS3.3 C.7.6.3.1.2) stay black: the image loader expects
      another length. The server sends them with all samples, so the loader is told that they are YBR_FULL.
   3. SOP classes that are no more than another name for images which OHIF draws, most of them retired, are listed as
      what cannot be shown.

   It touches OHIF only through the arguments of `onModeEnter` and the one global that it needs. */

const STACK = '@ohif/extension-default.sopClassHandlerModule.stack';
const ABOVE_ALL_OTHERS = 100_000;

const FUNCTIONS = ['LINEAR', 'LINEAR_EXACT', 'SIGMOID'];

/* Implicit and explicit little endian, deflated, big endian. */
const UNCOMPRESSED = /^1\.2\.840\.10008\.1\.2(\.1|\.1\.99|\.2)?$/;

const IMAGES = [
  '1.2.840.10008.5.1.4.1.1.3', // Ultrasound Multi-frame, retired
  '1.2.840.10008.5.1.4.1.1.5', // Nuclear Medicine, retired
  '1.2.840.10008.5.1.4.1.1.6', // Ultrasound, retired
  '1.2.840.10008.5.1.4.1.1.6.3', // Photoacoustic
  '1.2.840.10008.5.1.4.1.1.12.3', // X-Ray Angiographic Bi-Plane, retired
  '1.2.840.10008.5.1.4.1.1.77.1', // VL, trial
  '1.2.840.10008.5.1.4.1.1.77.2', // VL Multi-frame, trial
  '1.2.840.10008.5.1.4.1.1.77.1.5.5', // Wide Field Ophthalmic Photography Stereographic Projection
  '1.2.840.10008.5.1.4.1.1.77.1.5.6', // Wide Field Ophthalmic Photography 3D Coordinates
  '1.2.840.10008.5.1.4.1.1.77.1.5.7', // Ophthalmic Optical Coherence Tomography En Face
  '1.2.840.10008.5.1.4.1.1.77.1.7', // Dermoscopic Photography
  '1.2.840.10008.5.1.4.1.1.77.1.8', // Confocal Microscopy
  '1.2.840.10008.5.1.4.1.1.481.23', // Enhanced RT
  '1.2.840.10008.5.1.4.1.1.481.24', // Enhanced Continuous RT
];

/* Answers about an image that OHIF gets wrong, by what is asked; each gets OHIF's answer and the way to ask for more. */
const CORRECTED = {
  /* The image loader reads `voiLUTFunction` as a list and, without one, `voiLutFunction` as it is. Volumes read the
     former as it is: they get none and are linear. */
  voiLutModule(found) {
    if (typeof found.voiLUTFunction !== 'string') return found;
    const name = found.voiLUTFunction.trim().toUpperCase();
    return { ...found, voiLUTFunction: undefined, voiLutFunction: FUNCTIONS.find(known => known === name) };
  },
  imagePixelModule(found, ask) {
    if (found.photometricInterpretation !== 'YBR_FULL_422') return found;
    if (!UNCOMPRESSED.test(ask('instance')?.AvailableTransferSyntaxUID)) return found;
    return { ...found, photometricInterpretation: 'YBR_FULL', planarConfiguration: 0 };
  },
};

function correct(metaData) {
  let asking = false;
  const provide = (type, imageId) => {
    const corrected = CORRECTED[type];
    if (!corrected || asking) return undefined;
    asking = true;
    try {
      const ask = what => metaData.get(what, imageId);
      const found = ask(type);
      return found && corrected(found, ask);
    } finally {
      asking = false;
    }
  };
  metaData.addProvider(provide, ABOVE_ALL_OTHERS);
}

let amended = false;

export default {
  id: 'pacs-images',
  onModeEnter({ extensionManager }) {
    if (amended) return;
    amended = true;
    correct(window.cornerstone.metaData);
    const { sopClassUids } = extensionManager.getModuleEntry(STACK);
    sopClassUids.push(...IMAGES.filter(uid => !sopClassUids.includes(uid)));
  },
};
