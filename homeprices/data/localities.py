"""Names of Bangalore localities with a coarse level of prices, for synthetic listings.

Price levels are rupees per square foot, rounded to 500, roughly the asking prices of 2017 to 2019. The tier is the
relative number of listings. Neither is accurate enough to price a real home.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Locality:
    """A place, its price level in rupees a square foot, and how many listings it has relative to others."""

    name: str
    rate: int
    weight: float


# tier -> listings of each of its places among some 10,000
_WEIGHTS = {"huge": 350, "large": 140, "medium": 65, "small": 30, "tiny": 12}

_PLACES: dict[str, dict[int, str]] = {
    "huge": {
        5500: "Whitefield, Sarjapur Road",
    },
    "large": {
        4000: "Raja Rajeshwari Nagar, Uttarahalli",
        4500: "Electronic City",
        5000: "Kanakpura Road, Yelahanka",
        5500: "Marathahalli, Bannerghatta Road",
        6000: "Thanisandra, Hennur Road",
        7000: "Hebbal",
    },
    "medium": {
        2500: "Chandapura",
        3000: "Electronic City Phase II",
        3500: "Begur Road",
        4000: "Sarjapur",
        4500: (
            "Electronics City Phase 1, KR Puram, Kengeri, Varthur, Kaggadasapura, Ramamurthy Nagar, 8th Phase JP Nagar"
        ),
        5000: "Hormavu, Akshaya Nagar, Kothanur",
        5500: (
            "Haralur Road, Hoodi, Yeshwanthpur, Kasavanhalli, Hosa Road, JP Nagar, Old Madras Road, "
            "Banashankari, Hulimavu"
        ),
        6000: "Bellandur",
        6500: "Harlur, Jakkur",
        7000: "7th Phase JP Nagar",
        10000: "Koramangala",
        14000: "Rajaji Nagar",
    },
    "small": {
        3000: "Attibele, Bommasandra Industrial Area, Kammasandra, Ananth Nagar",
        3500: "Channasandra, Anekal, Doddathoguru",
        4000: "Bisuvanahalli, Bommasandra, Kengeri Satellite Town, Horamavu Banaswadi, Gunjur",
        4500: (
            "Hennur, Ramagondanahalli, Gottigere, Horamavu Agara, 9th Phase JP Nagar, Kanakapura, "
            "Mahadevpura, Chikkalasandra, Dodda Nekkundi, Singasandra, Kudlu, Kodichikkanahalli"
        ),
        5000: (
            "Budigere, Mysore Road, Rachenahalli, Yelahanka New Town, Devanahalli, Kadugodi, HSR Layout, "
            "Kalena Agrahara, CV Raman Nagar, Vittasandra, Bommanahalli, 5th Phase JP Nagar, Vidyaranyapura"
        ),
        5500: ("Nagarbhavi, Jigani, Hosur Road, TC Palaya, Bhoganhalli, Subramanyapura, Kudlu Gate, Padmanabhanagar"),
        6000: "Brookefield, Panathur, Talaghattapura, Somasundara Palya",
        6500: (
            "Hegde Nagar, Balagere, Jalahalli, Green Glen Layout, Lakshminarayana Pura, Vijayanagar, Tumkur "
            "Road, Sahakara Nagar, Ambedkar Nagar, BTM 2nd Stage, Lingadheeranahalli"
        ),
        7000: "Old Airport Road",
        7500: "Thigalarapalya, Kundalahalli, R.T. Nagar",
        9000: "Hebbal Kempapura",
        9500: "Basavangudi",
        10000: "Hosakerehalli, Frazer Town",
        11000: "Indira Nagar",
        12000: "Malleshwaram",
    },
    "tiny": {
        3000: "Dommasandra",
        3500: (
            "Babusapalaya, Sarjapura - Attibele Road, Chikkabanavar, Banashankari Stage V, Neeladri Nagar, "
            "Kereguddadahalli, Mico Layout, Gunjur Palya"
        ),
        4000: (
            "Kothannur, Anandapura, Abbigere, Hoskote, Anjanapura, Varthur Road, Devarachikkanahalli, "
            "Doddakallasandra, Sompura, Vasanthapura, Yelenahalli"
        ),
        4500: (
            "Kogilu, Rayasandra, Magadi Road, Pai Layout, Garudachar Palya, Battarahalli, Chikka Tirupathi, "
            "Malleshpalya, GM Palaya, NGR Layout, AECS Layout, Poorna Pragna Layout, Gollarapalya Hosahalli, "
            "Nagappa Reddy Layout, Manayata Tech Park"
        ),
        5000: (
            "Sonnenahalli, Kaval Byrasandra, Choodasandra, Munnekollal, Arekere, Banashankari Stage III, "
            "Nagavara, Mallasandra, Dasarahalli, Begur, Banaswadi, Dasanapura, Kenchenahalli, Kambipura, "
            "Jalahalli East, Bharathi Nagar, Banashankari Stage VI, Kodigehaali, B Narayanapura, Pattandur "
            "Agrahara, NRI Layout, Reliaable Tranquil Layout, Seetharampalya, Shampura"
        ),
        5500: (
            "Ardendale, Gubbalala, Kumaraswami Layout, Margondanahalli, Amruthahalli, Kathriguppe, "
            "Kaggalipura, Ambalipura, BTM Layout, Sector 2 HSR Layout, Sultan Palaya, Yelachenahalli, "
            "Murugeshpalya, Kaverappa Layout"
        ),
        6000: "Seegehalli, Kalyan nagar, Kannamangala, Billekahalli, Narayanapura, Rajiv Nagar",
        6500: (
            "EPIP Zone, Thubarahalli, Sanjay nagar, 6th Phase JP Nagar, Bannerghatta, OMBR Layout, HBR "
            "Layout, Prithvi Layout, Kasturi Nagar, Kaikondrahalli, Judicial Layout"
        ),
        7000: "HRBR Layout, Nagavarapalya, Kadubeesanahalli",
        7500: "Iblur Village, Basaveshwara Nagar, Konanakunte",
        8000: "Domlur, Bommenahalli, Karuna Nagar, Cox Town",
        8500: "1st Phase JP Nagar, Sector 7 HSR Layout",
        9000: "Binny Pete",
        9500: "Ulsoor",
        10000: "Cooke Town, Banashankari Stage II, Chamrajpet",
        10500: "Kodihalli",
        11000: "Benson Town",
        12000: "1st Block Jayanagar, 4th Block Koramangala",
        15000: "2nd Stage Nagarbhavi",
        16500: "Giri Nagar",
        19000: "Sadashiva Nagar",
        19500: "Cunningham Road",
    },
}

LOCALITIES = tuple(
    Locality(name, rate, float(_WEIGHTS[tier]))
    for tier, rates in _PLACES.items()
    for rate, names in rates.items()
    for name in names.split(", ")
)
