//! Agents of the wild. Each line: device, system, browser; then the agent.

use super::*;

const AGENTS: &str = "
desktop   Windows   Chrome              Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
desktop   Windows   Edge                Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.61
desktop   Windows   Opera               Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 OPR/105.0.0.0
desktop   Windows   Firefox             Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0
desktop   Windows   Internet_Explorer   Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko
desktop   Windows   Internet_Explorer   Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)
desktop   macOS     Chrome              Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
desktop   macOS     Safari              Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15
desktop   Linux     Firefox             Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0
desktop   Linux     Chrome              Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
desktop   ChromeOS  Chrome              Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
mobile    iOS       Safari              Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1
mobile    iOS       Chrome              Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.50 Mobile/15E148 Safari/604.1
mobile    iOS       Firefox             Mozilla/5.0 (iPhone; CPU iPhone OS 13_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/121.0 Mobile/15E148 Safari/605.1.15
mobile    iOS       Facebook            Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21B101 [FBAN/FBIOS;FBAV/443.0.0.26.105;FBBV/540;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS]
mobile    iOS       Instagram           Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21B101 Instagram 312.0.1.19.124 (iPhone14,5; iOS 17_1; en_US)
tablet    iPadOS    Safari              Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Mobile Safari/537.36
mobile    Android   Samsung_Internet    Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36
mobile    Android   Firefox             Mozilla/5.0 (Android 13; Mobile; rv:121.0) Gecko/121.0 Firefox/121.0
mobile    Android   Opera               Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36 OPR/76.2.4027.73374
mobile    Android   Edge                Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.43 Mobile Safari/537.36 EdgA/119.0.2151.92
mobile    Android   UC_Browser          Mozilla/5.0 (Linux; U; Android 11; en-US; RMX2030 Build/RKQ1.200928.002) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/78.0.3904.108 UCBrowser/13.4.2.1306 Mobile Safari/537.36
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 12; SM-A525F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36
mobile    -         Opera_Mini          Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10
tablet    Android   Chrome              Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
tablet    Android   Firefox             Mozilla/5.0 (Android 13; Tablet; rv:121.0) Gecko/121.0 Firefox/121.0
tablet    Android   Amazon_Silk         Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/119.3.1 like Chrome/119.0.6045.193 Safari/537.36
unknown   Tizen     Safari              Mozilla/5.0 (SMART-TV; LINUX; Tizen 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/5.0 TV Safari/537.36
unknown   Web0S     Chrome              Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 WebAppManager
unknown   Android   Chrome              Mozilla/5.0 (Linux; Android 9; AFTT Build/PS7285) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/88.0.4324.152 Mobile Safari/537.36
unknown   Windows   Edge                Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/48.0.2564.82 Safari/537.36 Edge/20.02
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 8.0.0; CUBOT_P20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.110 Mobile Safari/537.36
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 9; Cubot_X19 Build/PPR1.180610.011) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36
mobile    Android   Opera               Mozilla/5.0 (Linux; U; Android 8.0.0; CUBOT_X18_Plus Build/O00623; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/71.0.3578.99 Mobile Safari/537.36 OPR/37.6.2254.134291
mobile    Android   Chrome              Mozilla/5.0 (Linux; Android 7.0; M bot 60 Build/NRD90M; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/67.0.3396.87 Mobile Safari/537.36
tablet    Android   Chrome              Mozilla/5.0 (Linux; Android 6.0.1; M BOT TAB 101 Build/MOB30R) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/54.0.2840.85 Safari/537.36
mobile    Android   Instagram           Mozilla/5.0 (Linux; Android 9; Eluga I8 Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/121.0.6167.178 Mobile Safari/537.36 Instagram 340.0.0.14.109 Android (28/9; 320dpi; 720x1371; PANASONIC/Panasonic; Eluga I8; Eluga_I8; mt6765; en_IN; 622085927)
unknown   -         bot                 Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
unknown   Android   bot                 Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
unknown   -         bot                 Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36
unknown   -         bot                 Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)
unknown   Android   bot                 Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)
unknown   -         bot                 Mozilla/5.0 (Linux; Android 7.0;) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)
unknown   -         bot                 Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.0; +https://openai.com/gptbot)
unknown   -         bot                 Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)
unknown   Linux     bot                 Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36
unknown   -         bot                 curl/8.4.0
unknown   -         bot                 Wget/1.21.3
unknown   -         bot                 python-requests/2.31.0
unknown   -         bot                 Go-http-client/1.1
unknown   -         bot                 facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)
unknown   -         bot                 UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/
unknown   -         bot                 Some Reader (for http://example.org/feed; 8 readers)
tablet    Android   Amazon_Silk         Mozilla/5.0 (Linux; U; en-us; KFTT Build/IML74K) AppleWebKit/535.19 (KHTML, like Gecko) Silk/3.13 Safari/535.19 Silk-Accelerated=true
unknown   -         bot                 NobodyKnowsThisBot/0.1
unknown   -         bot                 my-own-crawler
unknown   Android   Android             Dalvik/2.1.0 (Linux; U; Android 10; CUBOT NOTE 20 Build/QP1A.190711.020)
unknown   -         -                   -
unknown   -         -                   Nobody/1.0
";

#[test]
fn agents_of_the_wild() {
    let mut wrong = Vec::new();
    for line in AGENTS.lines().filter(|line| !line.is_empty()) {
        let (expected, agent) = (line[..38].split_whitespace().collect::<Vec<_>>().join(" "), line[38..].trim());
        let visitor = read(agent);
        let name = |name: &Option<String>| name.as_deref().unwrap_or("-").replace(' ', "_");
        let found = format!("{} {} {}", visitor.device_type, name(&visitor.os), name(&visitor.browser));
        if found != expected {
            wrong.push(format!("{found}, not {expected}: {agent}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_agent_is_an_unknown_device() {
    assert_eq!(*read(""), Visitor { device_type: "unknown", os: None, browser: None });
}

#[test]
fn the_lists_are_whole() {
    assert!(Lists::parse().is_some_and(|lists| lists.browsers.is_some() && lists.systems.is_some()));
}

#[test]
fn an_agent_has_no_length_that_does_harm_and_many_agents_are_forgotten() {
    assert_eq!(read(&"ü(".repeat(100_000)).device_type, "unknown");
    for number in 0..=AGENTS_MAX {
        read(&format!("Nobody/{number}"));
    }
    assert!(SEEN.with_borrow(HashMap::len) <= AGENTS_MAX);
}
