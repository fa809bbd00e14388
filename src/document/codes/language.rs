//! Languages: HL7 value set 2.16.840.1.113883.1.11.11526 (BCP 47: two letters where ISO 639-1 has them, else three).

/// ISO 639-2 codes (both kinds, terminology and bibliography) that have two letters in ISO 639-1: `eng=en`.
const SHORT: &str = "\
    aar=aa abk=ab afr=af aka=ak alb=sq amh=am ara=ar arg=an arm=hy asm=as ava=av ave=ae aym=ay aze=az bak=ba bam=bm baq=eu \
    bel=be ben=bn bih=bh bis=bi bod=bo bos=bs bre=br bul=bg bur=my cat=ca ces=cs cha=ch che=ce chi=zh chu=cu chv=cv cor=kw \
    cos=co cre=cr cym=cy cze=cs dan=da deu=de div=dv dut=nl dzo=dz ell=el eng=en epo=eo est=et eus=eu ewe=ee fao=fo fas=fa \
    fij=fj fin=fi fra=fr fre=fr fry=fy ful=ff geo=ka ger=de gla=gd gle=ga glg=gl glv=gv gre=el grn=gn guj=gu hat=ht hau=ha \
    heb=he her=hz hin=hi hmo=ho hrv=hr hun=hu hye=hy ibo=ig ice=is ido=io iii=ii iku=iu ile=ie ina=ia ind=id ipk=ik isl=is \
    ita=it jav=jv jpn=ja kal=kl kan=kn kas=ks kat=ka kau=kr kaz=kk khm=km kik=ki kin=rw kir=ky kom=kv kon=kg kor=ko kua=kj \
    kur=ku lao=lo lat=la lav=lv lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg mac=mk mah=mh mal=ml mao=mi mar=mr may=ms mkd=mk \
    mlg=mg mlt=mt mon=mn mri=mi msa=ms mya=my nau=na nav=nv nbl=nr nde=nd ndo=ng nep=ne nld=nl nno=nn nob=nb nor=no nya=ny \
    oci=oc oji=oj ori=or orm=om oss=os pan=pa per=fa pli=pi pol=pl por=pt pus=ps que=qu roh=rm ron=ro rum=ro run=rn rus=ru \
    sag=sg san=sa sin=si slk=sk slo=sk slv=sl sme=se smo=sm sna=sn snd=sd som=so sot=st spa=es sqi=sq srd=sc srp=sr ssw=ss \
    sun=su swa=sw swe=sv tah=ty tam=ta tat=tt tel=te tgk=tg tgl=tl tha=th tib=bo tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr \
    twi=tw uig=ug ukr=uk urd=ur uzb=uz ven=ve vie=vi vol=vo wel=cy wln=wa wol=wo xho=xh yid=yi yor=yo zha=za zho=zh zul=zu";

/// ISO 639-2 codes that have no short form.
const LONG: &str = "\
    ace ach ada ady afa afh ain akk ale alg alt ang anp apa arc arn arp art arw ast ath aus awa bad bai bal ban bas bat \
    bej bem ber bho bik bin bla bnt bra btk bua bug byn cad cai car cau ceb cel chb chg chk chm chn cho chp chr chy cmc \
    cop cpe cpf cpp crh crp csb cus dak dar day del den dgr din doi dra dsb dua dum dyu efi egy eka elx enm ewo fan fat \
    fil fiu fon frm fro frr frs fur gaa gay gba gem gez gil gmh goh gon gor got grb grc gsw gwi hai haw hil him hit hmn \
    hsb hup iba ijo ilo inc ine inh ira iro jbo jpr jrb kaa kab kac kam kar kaw kbd kha khi kho kmb kok kos kpe krc krl \
    kro kru kum kut lad lah lam lez lol loz lua lui lun luo lus mad mag mai mak man map mas mdf mdr men mga mic min mis \
    mkh mnc mni mno moh mos mul mun mus mwl mwr myn myv nah nai nap nds new nia nic niu nog non nqo nso nub nwc nym nyn \
    nyo nzi osa ota oto paa pag pal pam pap pau peo phi phn pon pra pro raj rap rar roa rom rup sad sah sai sal \
    sam sas sat scn sco sel sem sga sgn shn sid sio sit sla sma smi smj smn sms snk sog son srn srr ssa suk sus sux syc \
    syr tai tem ter tet tig tiv tkl tlh tli tmh tog tpi tsi tum tup tut tvl tyv udm uga umb und vai vot wak wal war was \
    wen xal yao yap ypk zap zbl zen znd zun zxx zza";

/// Names people write instead of a code.
const NAMES: [(&str, &str); 20] = [
    ("arabic", "ar"),
    ("chinese", "zh"),
    ("english", "en"),
    ("farsi", "fa"),
    ("french", "fr"),
    ("german", "de"),
    ("haitian creole", "ht"),
    ("hindi", "hi"),
    ("hmong", "hmn"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("korean", "ko"),
    ("mandarin", "zh"),
    ("persian", "fa"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("russian", "ru"),
    ("spanish", "es"),
    ("tagalog", "tl"),
    ("vietnamese", "vi"),
];

/// The code C-CDA takes for a language as sent (`en-US`, `eng`, `English`); `None` when nobody knows it.
///
/// A region is kept when it is two letters; scripts and the rest are dropped, because validators split at the first dash.
pub(in crate::document) fn language(sent: &str) -> Option<String> {
    let lower = sent.trim().to_ascii_lowercase().replace('_', "-");
    if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Some((*code).to_owned());
    }
    let mut parts = lower.split('-');
    let primary = primary(parts.next()?)?;
    let region = parts.find(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    Some(match region {
        Some(region) => format!("{primary}-{}", region.to_ascii_uppercase()),
        None => primary.to_owned(),
    })
}

fn primary(code: &str) -> Option<&'static str> {
    let mut short = SHORT.split_ascii_whitespace().filter_map(|pair| pair.split_once('='));
    match code.len() {
        2 => short.find(|(_, two)| *two == code).map(|(_, two)| two),
        3 => short
            .find(|(three, _)| *three == code)
            .map(|(_, two)| two)
            .or_else(|| LONG.split_ascii_whitespace().find(|long| *long == code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_kind_become_the_one_that_is_taken() {
        for (sent, code) in [
            ("en", "en"),
            ("en-US", "en-US"),
            ("en_us", "en-US"),
            ("eng", "en"),
            ("spa", "es"),
            ("es-mx", "es-MX"),
            ("chi", "zh"),
            ("zho", "zh"),
            ("ger", "de"),
            ("deu", "de"),
            ("fre", "fr"),
            ("tgl", "tl"),
            ("hat", "ht"),
            ("hmn", "hmn"),
            ("fil", "fil"),
            ("und", "und"),
            ("mul", "mul"),
            ("sgn", "sgn"),
            ("zh-Hans", "zh"),
            ("zh-Hant-TW", "zh-TW"),
            ("English", "en"),
        ] {
            assert_eq!(language(sent).as_deref(), Some(code), "{sent}");
        }
        for sent in ["", "e", "xx", "xyz", "Klingonese", "-", "en\u{e9}"] {
            assert_eq!(language(sent).filter(|code| code != "en"), None, "{sent}");
        }
    }

    #[test]
    fn the_table_is_complete() {
        assert_eq!((SHORT.split_ascii_whitespace().count(), LONG.split_ascii_whitespace().count()), (204, 300));
    }
}
