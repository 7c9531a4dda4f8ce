use super::*;

const MS: i64 = 1_790_849_103_000;

fn read(format: &str, text: &str) -> Result<i64, Reason> {
    TimeFormat::parse(format).unwrap().instant(text, Offset::UTC)
}

#[test]
fn iso_times_with_and_without_a_zone() {
    for (text, ms) in [
        ("2026-10-01T10:05:03Z", MS),
        ("2026-10-01T10:05:03z", MS),
        ("2026-10-01t10:05:03Z", MS),
        ("2026-10-01T10:05:03.123Z", MS + 123),
        ("2026-10-01T10:05:03.123456789Z", MS + 123),
        ("2026-10-01T10:05:03.123456789012Z", MS + 123),
        ("2026-10-01T10:05:03,5Z", MS + 500),
        ("2026-10-01T10:05:03.1234567", MS + 123),
        ("2026-10-01T12:05:03.1239+02:00", MS + 123),
        ("2026-10-01 10:05:03", MS),
        ("2026-10-01", 1_790_812_800_000),
        ("2026-10-01T10:05Z", MS - 3000),
        ("20261001T100503Z", MS),
        ("20261001T120503.5+0200", MS + 500),
        ("2026-10-31T00:00:00Z", 1_793_404_800_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("2028-02-29T00:00:00Z", 1_835_395_200_000),
        ("1969-12-31T23:59:59.9995Z", -1),
    ] {
        assert_eq!(parse(text), Ok(ms), "{text}");
    }
}

#[test]
fn zones_in_every_form_that_databases_write() {
    for text in [
        "2026-10-01 10:05:03+00",
        "2026-10-01 12:05:03+02",
        "2026-10-01 12:05:03+0200",
        "2026-10-01 12:05:03+02:00",
        "2026-10-01 12:05:03+02:00:00",
        "2026-10-01 12:05:03 +02:00",
        "2026-10-01 12:05:03 +0200",
        "2026-10-01 15:35:03+05:30",
        "2026-10-01 06:35:03-03:30",
        "2026-10-01T05:05:03-05",
        "2026-10-01 10:05:03 UTC",
        "2026-10-01 10:05:03 GMT",
        "2026-10-01 10:05:03 utc",
        "2026-10-01 10:05:03UTC",
        "2026-10-01 10:05:03 Z",
        "2026-10-01 12:05:03 UTC+2",
        "2026-10-01 12:05:03 GMT+0200",
        "2026-10-01 12:05:03 Europe/Berlin",
        "2026-10-01T12:05:03[Europe/Berlin]",
        "2026-10-01T12:05:03+02:00[Europe/Berlin]",
        "2026-10-01T10:05:03Z[UTC]",
        "2026-10-01 19:05:03 Asia/Tokyo",
        "2026-10-01 10:05:03 Etc/UTC",
        "Thu, 01 Oct 2026 12:05:03 +0200",
        "Thu, 1 Oct 2026 10:05:03 GMT",
        "01 Oct 2026 10:05:03 +0000",
        "Oct 1, 2026 10:05:03 AM",
        "Oct 1, 2026, 10:05:03 AM",
        "Oct 1, 2026 10:05:03",
        "Thu Oct  1 10:05:03 2026",
        "Thu Oct 01 10:05:03 UTC 2026",
        "Thu Oct 01 2026 12:05:03 GMT+0200 (Central European Summer Time)",
        "2026-10-01 12:05:03 +0200 CEST",
        "2026-10-01 10:05:03.0004 +0000 UTC",
        "2026-10-01 12:05:03 +02:00 Europe/Berlin",
        "October 1, 2026 10:05:03 AM",
        "Oct  1 2026 10:05:03AM",
        "01-OCT-2026 10:05:03",
        "2026/10/01 10:05:03",
        "2026-10-01 10:05:03 AM",
        "01/Oct/2026:12:05:03 +0200",
        "/Date(1790849103000)/",
        "/Date(1790849103000+0200)/",
        "1790849103000",
        "1.790849103e12",
        "1790849103000.0",
    ] {
        assert_eq!(parse(text), Ok(MS), "{text}");
    }
    assert_eq!(parse("2026-10-01 10:05:03.123456 UTC"), Ok(MS + 123));
    assert_eq!(parse("Oct 1, 2026 10:05:03.9 PM"), Ok(MS + 12 * 3_600_000 + 900));
    assert_eq!(parse("Oct  1 2026 10:05AM"), Ok(MS - 3000));
    for date in ["Oct 1, 2026", "1 Oct 2026", "2026/10/01"] {
        assert_eq!(parse(date), Ok(1_790_812_800_000), "{date}");
    }
    assert_eq!(parse("2026-10-01+02:00"), Ok(1_790_812_800_000 - 7_200_000));
}

#[test]
fn what_does_not_say_one_instant_is_refused() {
    for text in [
        "2026-10-01 10:05:03 CST",
        "2026-10-01 10:05:03 IST",
        "2026-10-01 10:05:03 EST",
        "2026-10-01 10:05:03CEST",
        "2026-10-01 10:05:03 Europe/Berln",
        "2026-10-01T10:05:03[Berlin]",
        "2026-10-25 02:30:00 Europe/Berlin",
        "2026-03-29 02:30:00 Europe/Berlin",
        "Thu Oct 01 10:05:03 PST 2026",
        "Thu, 01 Oct 2026 10:05:03 EDT",
        "0044-03-15 10:00:00 BC",
    ] {
        assert_eq!(parse(text), Err(Reason::UnknownZone), "{text}");
    }
    for text in [
        "2026-02-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-12-31T23:59:60Z",
        "2026-12-31 23:59:60",
        "20261231T235960Z",
        "Dec 31, 2026 11:59:60 PM",
        "31/Dec/2026:23:59:60 +0000",
        "2026-10-01T24:00:00Z",
        "2026-10-01T10:05.5Z",
        "Oct 1 2026 10:05.5AM",
        "Oct 1, 26",
        "2026-10-01 10:05:03+25",
        "2026-10-01 10:05:03+2:00",
        "2026-10-01 10:05:03+02:60",
        "2026-10-01 10:05:03+",
        "2026-10-01-05:00",
        "01/10/2026 10:05:03",
        "10/01/2026",
        "2026-10",
        "2026-W40-4",
        "2026-274",
        "01-OCT-26 10:05:03",
        "45931.4202,5",
        "/Date(x)/",
        "99999999999999999999",
        "NaN",
        "infinity",
        "",
        "yesterday",
        "２０２６-10-01",
    ] {
        assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn either_hour_of_a_clock_change_is_read_with_its_offset() {
    assert_eq!(parse("2026-10-25T02:30:00+02:00[Europe/Berlin]"), Ok(1_792_888_200_000));
    assert_eq!(parse("2026-10-25T02:30:00+01:00[Europe/Berlin]"), Ok(1_792_891_800_000));
    assert_eq!(parse("2026-10-25 03:30:00 Europe/Berlin"), Ok(1_792_895_400_000));
}

#[test]
fn formats_of_a_mapping() {
    assert_eq!(read("epoch_s", "1790849103.5"), Ok(MS + 500));
    assert_eq!(read("epoch_s", "1790849103.123"), Ok(MS + 123));
    assert_eq!(read("epoch_s", "1.790849103e9"), Ok(MS));
    assert_eq!(read("epoch_ms", "1790849103500"), Ok(MS + 500));
    assert_eq!(read("epoch_us", "1790849103500999"), Ok(MS + 500));
    assert_eq!(read("epoch_ns", "1790849103500999999"), Ok(MS + 500));
    assert_eq!(read("epoch_s", "NaN"), Err(Reason::BadTime));
    assert_eq!(read("epoch_s", "1e300"), Err(Reason::BadTime));
    assert_eq!(read("log", "17/May/2015:10:05:03 +0200"), Ok(1_431_849_903_000));
    assert_eq!(read("log", "17/May/2015:10:05:03.250 +0200"), Ok(1_431_849_903_250));
    assert_eq!(read("log", "2015-05-17T10:05:03+02:00"), Ok(1_431_849_903_000));
    assert!(TimeFormat::parse("YYYY").is_err());
}

#[test]
fn patterns_are_checked_when_the_mapping_is_read() {
    for (pattern, text) in [
        ("%Y-%m-%d %H:%M:%S", "2026-10-01 10:05:03"),
        ("%d.%m.%Y %H:%M:%S", "01.10.2026 10:05:03"),
        ("%m/%d/%Y %I:%M:%S %p", "10/01/2026 10:05:03 AM"),
        ("%d/%m/%y %H:%M:%S", "01/10/26 10:05:03"),
        ("%Y-%m-%d %H:%M:%S %z", "2026-10-01 12:05:03 +0200"),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-10-01 10:05:03 UTC"),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-10-01 12:05:03 +02"),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-10-01 12:05:03 Europe/Berlin"),
        ("%Y-%m-%d %H:%M:%S[%Q]", "2026-10-01 12:05:03[Europe/Berlin]"),
        ("%s", "1790849103"),
    ] {
        assert_eq!(read(pattern, text), Ok(MS), "{pattern} {text}");
    }
    assert_eq!(read("%Y-%m-%d %H:%M:%S.%f", "2026-10-01 10:05:03.123456"), Ok(MS + 123));
    assert_eq!(read("%Y-%m-%d %H:%M:%S %Z", "2026-10-01 10:05:03 CST"), Err(Reason::UnknownZone));
    assert_eq!(read("%Y-%m-%d %H:%M:%S %Z", "2026-10-01 10:05:03"), Err(Reason::BadTime));
    assert_eq!(read("%Y-%m-%d %H:%M:%S[%Q]", "2026-10-25 02:30:00[Europe/Berlin]"), Err(Reason::UnknownZone));
    assert_eq!(read("%Y-%m-%d %H:%M:%S", "2026-12-31 23:59:60"), Err(Reason::BadTime));
    assert_eq!(read("%Y-%m-%d %H:%M:%S", "2026-12-31 23:59:59"), Ok(1_798_761_599_000));
    for pattern in ["%H:%M:%S", "%Y-%m-%d %Z %H:%M:%S", "%Y-%m-%d %J", "%d/%m %H:%M:%S"] {
        let fault = TimeFormat::parse(pattern).unwrap_err();
        assert!(fault.contains(pattern) && fault.contains("say date and time"), "{fault}");
    }
}
