"""The names of parts of the body, as tables for `body_regions`: each part, its region, and what it is called.

Names are folded (`index.words.matching.fold`) and written without separators: `cspine` is CSPINE of PS3.16 annex L as
well as the "C-Spine" of a description. They are in English, German, French and Spanish, in this order, after those that
the languages share. Words that mean something else in another of them are left out: "main" is a hand in French alone.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Region(Enum):
    """The regions that are compared; the value is what people read."""

    HEAD = "Head"
    FACE = "Face"
    NECK = "Neck"
    CHEST = "Chest"
    BREAST = "Breast"
    HEART = "Heart"
    ABDOMEN = "Abdomen"
    PELVIS = "Pelvis"
    CERVICAL_SPINE = "Cervical spine"
    THORACIC_SPINE = "Thoracic spine"
    LUMBAR_SPINE = "Lumbar spine"
    UPPER_EXTREMITY = "Upper extremity"
    LOWER_EXTREMITY = "Lower extremity"
    WHOLE_BODY = "Whole body"


NEIGHBOURS: Final = frozenset(
    frozenset(pair)
    for pair in (
        (Region.ABDOMEN, Region.PELVIS),
        (Region.CHEST, Region.ABDOMEN),
        (Region.CHEST, Region.HEART),
        (Region.HEAD, Region.FACE),
        (Region.HEAD, Region.NECK),
        (Region.FACE, Region.NECK),
        (Region.NECK, Region.CHEST),
        (Region.CERVICAL_SPINE, Region.THORACIC_SPINE),
        (Region.THORACIC_SPINE, Region.LUMBAR_SPINE),
    )
)

_NAMES: Final[Mapping[Region, Mapping[str, str]]] = {
    Region.HEAD: {
        "Head": """
            head brain skull cranium cranial intracranial cerebral cerebrum cerebellum cerebellar neuro neurocranium
            circleofwillis stroke scalp kopf schadel schaedel hirn gehirn neurokranium cct cmrt ccmrt zerebral
            kranial tete crane cranien cerveau encephale encephalique cabeza craneo craneal cerebro encefalo
        """,
        "Pituitary": "sella sellaturcica pituitary hypophyse hipofisis",
        "Ear": """
            ear ears innerear iac iacs internalauditorycanal temporalbone temporalbones mastoid mastoids petrous
            felsenbein innenohr rocher rochers oreille oido penasco
        """,
    },
    Region.FACE: {
        "Face": """
            face facial facialbone facialbones maxillofacial midface cheek zygoma nose nasal nasalbone nasalbones
            gesicht gesichtsschadel mittelgesicht nase massiffacial cara macizofacial
        """,
        "Orbit": """
            orbit orbits orbital eye eyes eyelid cornea sclera opticnerve orbita orbitae auge augenhohle orbite
            orbites ojo
        """,
        "Sinuses": """
            sinus sinuses paranasalsinus paranasalsinuses nnh nasennebenhohlen nasennebenhohle sinusitis senos
            senosparanasales
        """,
        "Jaw": """
            jaw mandible maxilla teeth tooth dental tmj temporomandibularjoint temporomandibular mouth tongue opg
            orthopantomogram panorex kiefer unterkiefer oberkiefer zahn zahne dents mandibule machoire diente
            mandibula panoramique
        """,
    },
    Region.NECK: {
        "Neck": """
            neck softtissueneck larynx pharynx oropharynx nasopharynx submandibular parotid salivary salivaryglands
            hals kehlkopf halsweichteile cou laryngo cuello laringe
        """,
        "Thyroid": "thyroid parathyroid schilddruse schilddruese thyroide tiroides",
        "Carotid": "carotid carotids carotis carotides carotida carotidas supraaortic tsa",
    },
    Region.CHEST: {
        "Chest": """
            chest thorax thoracic thoraco lung lungs pulmonary pulmo mediastinum trachea bronchus bronchi pleura thymus
            cxr ctpa hrct pulmonaryartery diaphragm hemithorax axilla lunge lungen brustkorb thorakal rontgenthorax
            thoracique poumon poumons pulmonaire torax pulmon pulmones
        """,
        "Ribs": "rib ribs rippe rippen hemithoraxrippen costilla costillas",
        "Sternum": "sternum sternoclavicularjoint esternon",
        "Esophagus": "esophagus oesophagus osophagus oesophage esofago bariumswallow",
        "Thoracic aorta": "thoracicaorta aorticarch ascaorta descaorta ascendingaorta descendingaorta aortathoracica",
    },
    Region.BREAST: {
        "Breast": """
            breast breasts mammo mammary mammogram mammography mamma mammae mammographie brust brustdruse sein seins
            mama mamas mamografia nipple
        """,
    },
    Region.HEART: {
        "Heart": """
            heart cardiac cardio coronary coronaries coronaryartery echocardiogram echocardiography ventricle
            ventriculogram myocardial myocardium pericardium tte tee herz kardial koronar koronarien
            koronarangiographie coeur cardiaque coronaire coronaires coronarographie corazon cardiaca cardiaco
            coronarias
        """,
    },
    Region.ABDOMEN: {
        "Abdomen": """
            abdomen abdominal abdomino abd abdo abdm kub retroperitoneum peritoneum uppergi gitract abdomenfilm bauch
            oberbauch abdomenubersicht ventre vientre abdominale
        """,
        "Liver": "liver hepatic hepato leber foie hepatique higado hepatico",
        "Biliary tract": "gallbladder bileduct biliary mrcp ercp gallenblase gallenwege galle vesicule vesicula hida",
        "Pancreas": "pancreas pancreatic pankreas",
        "Spleen": "spleen splenic milz bazo",
        "Kidneys": """
            kidney kidneys renal adrenal adrenals urography urogram ivp ureter ureters niere nieren nebenniere
            nebennieren rein reins uroscanner rinon rinones
        """,
        "Stomach": "stomach gastric magen estomac estomago",
        "Bowel": """
            bowel smallbowel largebowel colon colonography intestine duodenum jejunum ileum appendix enterography
            enteroclysis darm dunndarm dickdarm kolon sellink intestin grele intestino
        """,
        "Abdominal aorta": "abdominalaorta aaa aorta bauchaorta aortaabdominal",
    },
    Region.PELVIS: {
        "Pelvis": """
            pelvis pelvic pelv pel symphysis ilium iliac becken beckenubersicht bassin pelvien pelvienne pelvico
            pelviana
        """,
        "Bladder": "bladder urethra cystogram cystography vcug blase harnblase vessie vejiga urethrogram",
        "Prostate": "prostate prostata prostatic seminalvesicle",
        "Uterus": """
            uterus uterine ovary ovaries cervix endometrium vagina vulva hysterosalpingogram adnexa gebarmutter
            ovaire utero ovario
        """,
        "Fetus": "fetus fetal foetus obstetric obstetrical ob obstetrics schwangerschaft fotus obstetrico",
        "Rectum": "rectum rectal anus anal defecography rektum recto",
        "Scrotum": """
            scrotum scrotal testis testes testicle testicles testicular penis hoden skrotum testicule testiculo
        """,
        "Sacroiliac joints": """
            sijoint sijoints sacroiliac sacroiliacjoint sacroiliacjoints isg iliosakral sacroiliaque
        """,
    },
    Region.CERVICAL_SPINE: {
        "Cervical spine": """
            cspine cspines cervspine cervicalspine spinecervical hws halswirbelsaule rachiscervical colonnecervicale
            columnacervical myeloncervical dens odontoid
        """,
    },
    Region.THORACIC_SPINE: {
        "Thoracic spine": """
            tspine tspines dspine thoracicspine dorsalspine spinethoracic spinedorsal bws brustwirbelsaule
            rachisdorsal rachisthoracique colonnedorsale columnadorsal columnatoracica
        """,
    },
    Region.LUMBAR_SPINE: {
        "Lumbar spine": """
            lspine lspines lumbarspine lsspine lumbosacral lumbosacralspine lumbar lws lendenwirbelsaule spinelumbar
            rachislombaire rachislombosacre lombaire lombosacre colonnelombaire columnalumbar lumbosacra lumbago
        """,
        "Sacrum": "sspine sacrum sacral coccyx kreuzbein steissbein steisbein sacro coccyxsacrum sacrumcoccyx",
    },
    Region.UPPER_EXTREMITY: {
        "Upper extremity": """
            upperextremity upperextremities upperlimb upperlimbs extremityupper obereextremitat membresuperieur
            miembrosuperior extremidadsuperior
        """,
        "Shoulder": """
            shoulder shoulders acjoint acromioclavicularjoint acromioclavicular glenohumeral rotatorcuff scapula
            clavicle schulter schultern schlusselbein klavikula skapula acg epaule epaules clavicule hombro hombros
            clavicula
        """,
        "Upper arm": "humerus upperarm arm oberarm bras brazo humero",
        "Elbow": "elbow elbows ellenbogen ellbogen coude coudes codo",
        "Forearm": "forearm radius ulna radiusulna unterarm avantbras antebrazo",
        "Wrist": """
            wrist wrists scaphoid carpal carpus navicular handgelenk handgelenke handwurzel poignet poignets muneca
        """,
        "Hand": """
            hand hands finger fingers thumb thumbs metacarpal hande daumen mittelhand doigt doigts pouce mano manos
            dedo
        """,
    },
    Region.LOWER_EXTREMITY: {
        "Lower extremity": """
            lowerextremity lowerextremities lowerlimb lowerlimbs extremitylower leg legs untereextremitat bein beine
            beinachse ganzbein membreinferieur jambes miembroinferior extremidadinferior pierna piernas
        """,
        "Hip": "hip hips acetabulum hufte huften huft hanche hanches cadera caderas",
        "Thigh": "thigh thighs femur femoral oberschenkel cuisse muslo",
        "Knee": "knee knees patella patellae meniscus knie kniegelenke genou genoux rotule rodilla rodillas",
        "Lower leg": "tibia fibula tibiafibula tibfib tib fib lowerleg calf calves unterschenkel jambe",
        "Ankle": "ankle ankles osg sprunggelenk sprunggelenke cheville chevilles tobillo tobillos achilles",
        "Foot": """
            foot feet toe toes heel calcaneus metatarsal forefoot hindfoot fuss fusse vorfuss ruckfuss mittelfuss
            zehe zehen ferse fersenbein pied pieds orteil talon pie pies
        """,
    },
    Region.WHOLE_BODY: {
        "Whole body": """
            wholebody totalbody fullbody skullbasetomidthigh skullbasemidthigh skulltothigh eyestothighs
            vertextothigh skullbasetothigh ganzkorper ganzkoerper corpsentier cuerpoentero cuerpocompleto bonescan
            skeletalsurvey polytrauma
        """,
    },
}

REGION_OF: Final[Mapping[str, Region]] = MappingProxyType(
    {part: region for region, parts in _NAMES.items() for part in parts}
)
"""Every part and the region that it belongs to."""

_SPINE: Final = ("Cervical spine", "Thoracic spine", "Lumbar spine")
_SEVERAL: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("spine", "wholespine", "wirbelsaule", "ganzwirbelsaule", "rachis", "columna", "gws"), _SPINE),
    **dict.fromkeys(("ctspine", "cervicothoracic"), _SPINE[:2]),
    **dict.fromkeys(("tlspine", "thoracolumbar", "thoracolumbarspine", "dorsolumbar"), _SPINE[1:]),
    **dict.fromkeys(("cap", "tap"), ("Chest", "Abdomen", "Pelvis")),
    "ncap": ("Neck", "Chest", "Abdomen", "Pelvis"),
    # Written like a side, and none: to rule out, and the plans of radiotherapy.
    **dict.fromkeys(("ro", "rtplan", "rtplanning", "rtdose", "rtstruct"), ()),
}
PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{name: (part,) for parts in _NAMES.values() for part, names in parts.items() for name in names.split()},
        **_SEVERAL,
    }
)
_FILLERS: Final = "gelenk gelenke region bereich ct mr mrt mri xr us pet rx and und et y w wo rontgen nativ skelett"
FILLERS: Final = frozenset(_FILLERS.split())
"""What may stand between names that are written as one word."""

_SIDE_NAMES: Final[Mapping[str, str]] = {
    "L": "l lt left li links linke linker linkes gauche izq izquierdo izquierda",
    "R": "r rt right re rechts rechte rechter rechtes droit droite derecho derecha",
    "B": "bil bilat bilateral both bds beidseits beidseitig beide bilaterale ambos ambas",
}
SIDES: Final[Mapping[str, str]] = MappingProxyType(
    {name: side for side, names in _SIDE_NAMES.items() for name in names.split()}
)

# Procedure codes of LOINC (LN, the LOINC/RSNA Radiology Playbook) whose region is certain. Codes that are not here are
# read by their meaning, which names the region in all the coding schemes that are in use.
CODES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(("24627-2", "30746-2", "36554-4", "36643-5", "42272-5", "24648-8"), ("Chest",)),
        **dict.fromkeys(("24725-4", "24590-2"), ("Head",)),
        **dict.fromkeys(("24558-9", "41806-1"), ("Abdomen",)),
        **dict.fromkeys(("24606-6", "36625-2", "24604-1"), ("Breast",)),
        "36813-4": ("Abdomen", "Pelvis"),
    }
)
