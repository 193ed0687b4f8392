"""Regions of Bangalore: a table from the names of public places to six parts of the city.

Made by hand from the names and common knowledge of the city; it holds no coordinates. The centre is the old city and
the cantonment with the quarters around them. Any other place belongs to the main road on which one reaches it from
there:

- north: Ballari, Doddaballapur, Thanisandra and Hennur Road
- east: Old Madras, Old Airport, Whitefield and Varthur Road
- south-east: Sarjapur and Hosur Road
- south: Bannerghatta and Kanakapura Road, with JP Nagar and Banashankari
- west: Mysore, Magadi and Tumkur Road

A name that several places in different parts share (there are a Thigalarapalya in Peenya and one in Whitefield) is
general, as is any name that the table does not have.
"""

from __future__ import annotations

from typing import Literal, get_args

from homeprices.pricing.features import key_of

Region = Literal["centre", "north", "east", "south-east", "south", "west", "general"]

REGIONS: tuple[Region, ...] = get_args(Region)
GENERAL: Region = "general"
SIMULATED: Region = "south"
"""The region that simulations change: a fifth of the synthetic listings."""

_PLACES: dict[Region, str] = {
    "centre": (
        "1st Block Jayanagar, 4th Block Koramangala, Basavangudi, Benson Town, Binny Pete, Chamrajpet, Cooke Town, "
        "Cox Town, Cunningham Road, Domlur, Frazer Town, Indira Nagar, Koramangala, Malleshwaram, R.T. Nagar, "
        "Rajaji Nagar, Sadashiva Nagar, Ulsoor"
    ),
    "north": (
        "Amruthahalli, Devanahalli, HBR Layout, HRBR Layout, Hebbal, Hebbal Kempapura, Hegde Nagar, Hennur, "
        "Hennur Road, Jakkur, Jalahalli East, Kalyan nagar, Kaval Byrasandra, Kogilu, Kothanur, Manayata Tech Park, "
        "Nagavara, Rachenahalli, Sahakara Nagar, Sanjay nagar, Shampura, Sultan Palaya, Thanisandra, Vidyaranyapura, "
        "Yelahanka, Yelahanka New Town"
    ),
    "east": (
        "Anandapura, B Narayanapura, Babusapalaya, Balagere, Banaswadi, Battarahalli, Brookefield, Budigere, "
        "CV Raman Nagar, Dodda Nekkundi, EPIP Zone, GM Palaya, Garudachar Palya, Gunjur, Gunjur Palya, Hoodi, "
        "Horamavu Agara, Horamavu Banaswadi, Hormavu, Hoskote, KR Puram, Kadubeesanahalli, Kadugodi, Kaggadasapura, "
        "Kasturi Nagar, Kaverappa Layout, Kodihalli, Kundalahalli, Mahadevpura, Malleshpalya, Marathahalli, "
        "Margondanahalli, Munnekollal, Murugeshpalya, NRI Layout, Nagavarapalya, OMBR Layout, Old Airport Road, "
        "Old Madras Road, Panathur, Pattandur Agrahara, Prithvi Layout, Ramagondanahalli, Ramamurthy Nagar, "
        "Seetharampalya, TC Palaya, Thubarahalli, Varthur, Varthur Road, Whitefield"
    ),
    "south-east": (
        "Ambalipura, Ananth Nagar, Anekal, Attibele, Begur, Begur Road, Bellandur, Bhoganhalli, Bommanahalli, "
        "Bommasandra, Bommasandra Industrial Area, Chandapura, Chikka Tirupathi, Choodasandra, Doddathoguru, "
        "Dommasandra, Electronic City, Electronic City Phase II, Electronics City Phase 1, Green Glen Layout, "
        "HSR Layout, Haralur Road, Harlur, Hosa Road, Hosur Road, Iblur Village, Kaikondrahalli, Kammasandra, "
        "Kasavanhalli, Kudlu, Kudlu Gate, NGR Layout, Neeladri Nagar, Rayasandra, Reliaable Tranquil Layout, Sarjapur, "
        "Sarjapur Road, Sarjapura - Attibele Road, Sector 2 HSR Layout, Sector 7 HSR Layout, Singasandra, "
        "Somasundara Palya, Vittasandra"
    ),
    "south": (
        "1st Phase JP Nagar, 5th Phase JP Nagar, 6th Phase JP Nagar, 7th Phase JP Nagar, 8th Phase JP Nagar, "
        "9th Phase JP Nagar, Akshaya Nagar, Anjanapura, Arekere, BTM 2nd Stage, BTM Layout, Banashankari, "
        "Banashankari Stage II, Banashankari Stage III, Banashankari Stage V, Banashankari Stage VI, Bannerghatta, "
        "Bannerghatta Road, Billekahalli, Chikkalasandra, Devarachikkanahalli, Doddakallasandra, Giri Nagar, "
        "Gottigere, Gubbalala, Hosakerehalli, Hulimavu, JP Nagar, Jigani, Kaggalipura, Kalena Agrahara, Kanakapura, "
        "Kanakpura Road, Kathriguppe, Kodichikkanahalli, Konanakunte, Kothannur, Kumaraswami Layout, Mico Layout, "
        "Padmanabhanagar, Poorna Pragna Layout, Subramanyapura, Talaghattapura, Uttarahalli, Vasanthapura, "
        "Yelachenahalli, Yelenahalli"
    ),
    "west": (
        "2nd Stage Nagarbhavi, Abbigere, Basaveshwara Nagar, Chikkabanavar, Dasanapura, Gollarapalya Hosahalli, "
        "Jalahalli, Kambipura, Kenchenahalli, Kengeri, Kengeri Satellite Town, Kereguddadahalli, Lingadheeranahalli, "
        "Magadi Road, Mysore Road, Nagarbhavi, Raja Rajeshwari Nagar, Tumkur Road, Vijayanagar, Yeshwanthpur"
    ),
    "general": (
        "AECS Layout, Ambedkar Nagar, Ardendale, Bharathi Nagar, Bisuvanahalli, Bommenahalli, Channasandra, "
        "Dasarahalli, Judicial Layout, Kannamangala, Karuna Nagar, Kodigehaali, Lakshminarayana Pura, Mallasandra, "
        "Nagappa Reddy Layout, Narayanapura, Pai Layout, Rajiv Nagar, Seegehalli, Sompura, Sonnenahalli, Thigalarapalya"
    ),
}

_REGION_OF = {key_of(name): region for region, names in _PLACES.items() for name in names.split(", ")}


def region_of(place: str) -> Region:
    """Return the region of a place, in any spelling of its name; `general` for one that the table does not have."""
    return _REGION_OF.get(key_of(place), GENERAL)
