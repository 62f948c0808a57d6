#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(warnings, clippy::all, reason = "kept as it is, so that its payloads stay comparable with earlier measurements")]
// otlpload: deterministic OTLP payload generator + replaying load sender. std only.
//   rustc -O -C target-cpu=native otlpload.rs -o otlpload
//   otlpload gen logs|traces|metrics OUT N [batch=1000] [seed=1] [end=<unix s, default now>] [span=3600]
//   otlpload send FILE URL [conns=2] [pid=<server pid>] [limit=<requests>] [rate=<requests/s>] [grpc] [stop] [hdr=Name:Value]...
//   stop: end at the first broken connection (crash tests); otherwise reconnect and send the request again.
// FILE: repeated { u32 LE length, u32 LE records, payload = one Export*ServiceRequest protobuf }.
// gen also writes OUT.truth.json (counts & ids to check query answers against).
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

// ---------- rng ----------
struct R(u64);
impl R {
    fn n(&mut self) -> u64 { self.0 = self.0.wrapping_add(0x9E3779B97F4A7C15); let mut z = self.0; z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9); z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB); z ^ (z >> 31) }
    fn b(&mut self, m: u64) -> u64 { self.n() % m }
    fn f(&mut self) -> f64 { (self.n() >> 11) as f64 / (1u64 << 53) as f64 }
    // skewed index: small ones are frequent
    fn z(&mut self, m: u64) -> u64 { let x = self.f(); ((x * x * x) * m as f64) as u64 }
    fn pick<'a>(&mut self, a: &[&'a str]) -> &'a str { let i = self.b(a.len() as u64); a[i as usize] }
}
// ---------- protobuf ----------
fn vi(o: &mut Vec<u8>, mut v: u64) { while v >= 128 { o.push(v as u8 | 128); v >>= 7 } o.push(v as u8) }
fn tag(o: &mut Vec<u8>, f: u32, w: u32) { vi(o, ((f << 3) | w) as u64) }
fn by(o: &mut Vec<u8>, f: u32, d: &[u8]) { tag(o, f, 2); vi(o, d.len() as u64); o.extend_from_slice(d) }
fn st(o: &mut Vec<u8>, f: u32, d: &str) { by(o, f, d.as_bytes()) }
fn fx(o: &mut Vec<u8>, f: u32, v: u64) { tag(o, f, 1); o.extend_from_slice(&v.to_le_bytes()) }
fn un(o: &mut Vec<u8>, f: u32, v: u64) { tag(o, f, 0); vi(o, v) }
enum V<'a> { S(&'a str), I(i64), D(f64), B(bool) }
fn any(v: &V) -> Vec<u8> { let mut o = Vec::new(); match v { V::S(s) => st(&mut o, 1, s), V::I(i) => un(&mut o, 3, *i as u64), V::D(d) => fx(&mut o, 4, d.to_bits()), V::B(b) => un(&mut o, 2, *b as u64) } o }
fn kv(o: &mut Vec<u8>, f: u32, k: &str, v: V) { let mut m = Vec::new(); st(&mut m, 1, k); by(&mut m, 2, &any(&v)); by(o, f, &m) }
fn hex(b: &[u8]) -> String { b.iter().map(|x| format!("{:02x}", x)).collect() }

const SVC: [&str; 20] = ["frontend", "checkout", "cart", "payment", "shipping", "catalog", "search", "recommend", "email", "auth", "inventory", "currency", "ads", "quote", "review", "gateway", "billing", "notify", "fraud", "ledger"];
const ROUTES: [&str; 12] = ["/api/v1/users/{id}", "/api/v1/orders", "/api/v1/orders/{id}", "/api/v1/cart", "/api/v1/cart/items", "/api/v1/products", "/api/v1/products/{id}", "/api/v1/checkout", "/api/v1/search", "/healthz", "/api/v1/payments", "/api/v1/login"];
const METH: [&str; 4] = ["GET", "GET", "POST", "PUT"];
const PODS: u64 = 200; // 10 pods per service
fn resource(pod: u64) -> (usize, Vec<u8>) {
    let s = (pod % 20) as usize; let mut r = Vec::new();
    kv(&mut r, 1, "service.name", V::S(SVC[s]));
    kv(&mut r, 1, "service.version", V::S(["1.4.2", "1.5.0", "2.0.1"][s % 3]));
    kv(&mut r, 1, "service.instance.id", V::S(&format!("{}-{:x}", SVC[s], 0xa000 + pod * 7919)));
    kv(&mut r, 1, "deployment.environment", V::S("production"));
    kv(&mut r, 1, "k8s.namespace.name", V::S(["shop", "core", "edge"][s % 3]));
    kv(&mut r, 1, "k8s.pod.name", V::S(&format!("{}-7d9f{:04x}-{:05x}", SVC[s], s * 331, pod * 4099)));
    kv(&mut r, 1, "host.name", V::S(&format!("node-{:02}", pod % 25)));
    kv(&mut r, 1, "telemetry.sdk.language", V::S(["go", "java", "rust", "python"][s % 4]));
    (s, r)
}
fn scope(name: &str) -> Vec<u8> { let mut o = Vec::new(); st(&mut o, 1, name); st(&mut o, 2, "1.0.0"); o }
fn ids(r: &mut R) -> ([u8; 16], [u8; 8]) { let mut t = [0u8; 16]; t[..8].copy_from_slice(&r.n().to_le_bytes()); t[8..].copy_from_slice(&r.n().to_le_bytes()); (t, (r.n() | 1).to_le_bytes()) }

struct Out { w: BufWriter<File>, reqs: u64, bytes: u64 }
impl Out { fn put(&mut self, p: &[u8], n: u32) { self.w.write_all(&(p.len() as u32).to_le_bytes()).unwrap(); self.w.write_all(&n.to_le_bytes()).unwrap(); self.w.write_all(p).unwrap(); self.reqs += 1; self.bytes += p.len() as u64 } }
type T = BTreeMap<String, u64>;
fn inc(t: &mut T, k: &str) { *t.entry(k.to_string()).or_insert(0) += 1 }

fn gen_logs(o: &mut Out, n: u64, batch: u64, r: &mut R, end: u64, span: u64, t: &mut T, samp: &mut Vec<String>) {
    let step = span * 1_000_000_000 / n.max(1); let mut ts = (end - span) * 1_000_000_000; let mut done = 0u64;
    let res: Vec<_> = (0..PODS).map(resource).collect();
    while done < n {
        // one request = one collector batch: 4 pods
        let m = batch.min(n - done); let mut req = Vec::with_capacity(m as usize * 420);
        let per = (m + 3) / 4; let mut left = m;
        while left > 0 {
            let k = per.min(left); left -= k;
            let pod = r.z(PODS); let (s, rs) = &res[pod as usize];
            let mut sl = Vec::with_capacity(k as usize * 420); by(&mut sl, 1, &scope("app.logger"));
            for _ in 0..k {
                ts += step; let time = ts + r.b(step.max(2) / 2);
                let (tid, sid) = ids(r); let uid = r.z(100_000); let ms = 0.3 + 20.0 * (-(1.0 - r.f()).ln()); let route = ROUTES[r.z(12) as usize]; let meth = r.pick(&METH);
                let x = r.b(1000); let (sev, sevt) = if x < 5 { (17, "ERROR") } else if x < 35 { (13, "WARN") } else if x < 300 { (5, "DEBUG") } else { (9, "INFO") };
                let ip = format!("10.{}.{}.{}", r.b(4), r.b(250), r.b(250)); let oid = r.n() as u32; let mut code = 200i64;
                let body = match sev {
                    17 => { code = 500; match r.b(4) {
                        0 => format!("request failed: connection timeout while calling {} at {}:8443 after {:.1}ms (attempt {})", r.pick(&SVC), ip, ms * 40.0, 1 + r.b(5)),
                        1 => format!("panic recovered: index out of range [{}] with length {} in handler {}", r.b(90), r.b(20), route),
                        2 => format!("database error: deadlock detected on relation orders_{:03}, transaction {:08x} aborted", r.b(300), oid),
                        _ => format!("upstream {} returned 503 Service Unavailable for order {:08x}", r.pick(&SVC), oid) } }
                    13 => { code = 429; match r.b(3) { 0 => format!("slow query detected: SELECT * FROM orders WHERE user_id={} took {:.2}ms", uid, ms * 30.0), 1 => format!("retrying request to {} in {}ms, circuit breaker half-open", r.pick(&SVC), r.b(2000)), _ => format!("rate limit reached for user {} from {}", uid, ip) } }
                    5 => match r.b(3) { 0 => format!("cache lookup key=user:{}:profile hit={} elapsed={:.3}ms", uid, r.b(10) < 8, ms / 50.0), 1 => format!("acquired connection {} from pool (idle={}, active={})", r.b(64), r.b(20), r.b(44)), _ => format!("parsed payload of {} bytes for order {:08x}", 200 + r.b(9000), oid) },
                    _ => match r.b(5) { 0 => format!("{} {} 200 {:.2}ms user={} ip={}", meth, route, ms, uid, ip), 1 => format!("order {:08x} created for user {} total={}.{:02} EUR items={}", oid, uid, r.b(900), r.b(100), 1 + r.b(9)), 2 => format!("user {} logged in from {} using password", uid, ip), 3 => format!("published event order.updated partition={} offset={}", r.b(12), 1_000_000 + done), _ => format!("{} {} completed status=200 bytes={} duration={:.2}ms", meth, route, r.b(40000), ms) },
                };
                let body = if r.b(100_000) == 0 { inc(t, "needle"); format!("{} needleword{:04}", body, r.b(10000)) } else { body };
                if body.contains("timeout") { inc(t, "word_timeout") } if body.contains("deadlock") { inc(t, "word_deadlock") }
                inc(t, &format!("service_{}", SVC[*s])); inc(t, &format!("sev_{}", sevt));
                if sev == 17 { inc(t, &format!("error_{}", SVC[*s])) }
                let mut l = Vec::with_capacity(420); fx(&mut l, 1, time); un(&mut l, 2, sev); st(&mut l, 3, sevt); by(&mut l, 5, &any(&V::S(&body)));
                kv(&mut l, 6, "http.request.method", V::S(meth)); kv(&mut l, 6, "http.route", V::S(route)); kv(&mut l, 6, "http.response.status_code", V::I(code));
                kv(&mut l, 6, "duration_ms", V::D((ms * 1000.0).round() / 1000.0)); kv(&mut l, 6, "user.id", V::S(&uid.to_string())); kv(&mut l, 6, "thread", V::I(r.b(32) as i64));
                if x % 2 == 0 { by(&mut l, 9, &tid); by(&mut l, 10, &sid); if r.b((n / 40).max(1)) == 0 { samp.push(hex(&tid)) } }
                fx(&mut l, 11, time + 1000); by(&mut sl, 2, &l);
            }
            let mut rl = Vec::with_capacity(sl.len() + 400); by(&mut rl, 1, rs); by(&mut rl, 2, &sl); by(&mut req, 1, &rl);
        }
        o.put(&req, m as u32); done += m;
    }
}
fn gen_traces(o: &mut Out, n: u64, batch: u64, r: &mut R, end: u64, span: u64, t: &mut T, samp: &mut Vec<String>) {
    let base = (end - span) * 1_000_000_000; let mut done = 0u64; let res: Vec<_> = (0..PODS).map(resource).collect();
    while done < n {
        let m = batch.min(n - done); let mut by_pod: BTreeMap<u64, Vec<u8>> = BTreeMap::new(); let mut k = 0;
        while k < m {
            // one trace: 4..16 spans, random tree, several services
            let sz = (4 + r.b(13)).min(m - k); let (tid, _) = ids(r); let t0 = base + (done + k) * (span * 1_000_000_000 / n) ; let mut sp: Vec<([u8; 8], u64, u64, u64)> = Vec::new();
            let total = 2_000_000 + (30_000_000.0 * -(1.0 - r.f()).ln()) as u64; let err = r.b(100) < 2; inc(t, "traces"); if r.b((n / 400).max(1)) == 0 { samp.push(format!("{}:{}", hex(&tid), sz)) }
            for i in 0..sz {
                let (_, sid) = ids(r); let (parent, pod, s, e) = if i == 0 { (None, r.z(PODS), t0, t0 + total) } else {
                    let p = sp[r.b(i) as usize]; let len = p.3 - p.2; let a = p.2 + r.b(len / 2 + 1); let e = a + r.b(p.3 - a + 1); (Some(p.0), if r.b(3) == 0 { p.1 } else { r.z(PODS) }, a, e) };
                sp.push((sid, pod, s, e)); let svc = res[pod as usize].0; let route = ROUTES[r.z(12) as usize]; let meth = r.pick(&METH);
                let mut l = Vec::with_capacity(400); by(&mut l, 1, &tid); by(&mut l, 2, &sid); if let Some(p) = parent { by(&mut l, 4, &p) }
                let kind = if i == 0 { 2 } else { 1 + r.b(3) }; let is_err = err && i + 1 == sz; inc(t, &format!("service_{}", SVC[svc])); if is_err { inc(t, "error_spans") }
                let db = kind == 3 && r.b(2) == 0;
                if db { st(&mut l, 5, r.pick(&["SELECT orders", "INSERT orders", "UPDATE cart", "SELECT users"])) } else { st(&mut l, 5, &format!("{} {}", meth, route)) }
                un(&mut l, 6, kind); fx(&mut l, 7, s); fx(&mut l, 8, e);
                if db { kv(&mut l, 9, "db.system", V::S("postgresql")); kv(&mut l, 9, "db.statement", V::S(&format!("SELECT * FROM orders WHERE user_id = $1 /* {} */ LIMIT {}", r.b(50), r.b(500)))); kv(&mut l, 9, "server.address", V::S(&format!("pg-{}.internal", r.b(6)))) }
                else { kv(&mut l, 9, "http.request.method", V::S(meth)); kv(&mut l, 9, "http.route", V::S(route)); kv(&mut l, 9, "http.response.status_code", V::I(if is_err { 500 } else { 200 })); kv(&mut l, 9, "url.path", V::S(&route.replace("{id}", &r.b(100000).to_string()))); kv(&mut l, 9, "net.peer.ip", V::S(&format!("10.{}.{}.{}", r.b(4), r.b(250), r.b(250)))) }
                kv(&mut l, 9, "user.id", V::S(&r.z(100_000).to_string())); kv(&mut l, 9, "thread.id", V::I(r.b(64) as i64)); kv(&mut l, 9, "cached", V::B(r.b(4) == 0));
                if is_err { let mut ev = Vec::new(); fx(&mut ev, 1, e); st(&mut ev, 2, "exception"); kv(&mut ev, 3, "exception.type", V::S("TimeoutError")); kv(&mut ev, 3, "exception.message", V::S("deadline exceeded after 3 retries")); by(&mut l, 11, &ev); let mut s = Vec::new(); st(&mut s, 2, "deadline exceeded"); un(&mut s, 3, 2); by(&mut l, 15, &s) }
                by(by_pod.entry(pod).or_insert_with(|| { let mut v = Vec::new(); by(&mut v, 1, &scope("otel.instr")); v }), 2, &l);
            }
            k += sz;
        }
        let mut req = Vec::new(); for (pod, ss) in &by_pod { let mut rs = Vec::new(); by(&mut rs, 1, &res[*pod as usize].1); by(&mut rs, 2, ss); by(&mut req, 1, &rs) }
        o.put(&req, m as u32); done += m;
    }
}
// n = number of data points wanted; per pod and step: 48 counter points, 10 gauges, 12 histograms (11 bounds)
fn gen_metrics(o: &mut Out, n: u64, pods_per_req: u64, r: &mut R, end: u64, step_s: u64, t: &mut T) {
    let per_step = PODS * 70; let steps = (n + per_step - 1) / per_step; let start = (end - steps * step_s) * 1_000_000_000; let res: Vec<_> = (0..PODS).map(resource).collect();
    let bounds = [0.005f64, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]; let mut c = vec![0u64; (PODS * 48) as usize]; let mut g = vec![50f64; (PODS * 10) as usize]; let mut hb = vec![[0u64; 12]; (PODS * 12) as usize]; let mut hs = vec![0f64; (PODS * 12) as usize];
    let gn = ["process.memory.usage", "process.cpu.utilization", "go.goroutines", "jvm.heap.used", "db.pool.idle", "db.pool.active", "queue.depth", "cache.size", "threads.active", "fd.open"];
    for s in 1..=steps {
        let now = start + s * step_s * 1_000_000_000; let mut p = 0;
        while p < PODS {
            let q = pods_per_req.min(PODS - p); let mut req = Vec::new();
            for pod in p..p + q {
                let mut sm = Vec::new(); by(&mut sm, 1, &scope("app.meter"));
                let mut m = Vec::new(); st(&mut m, 1, "http.server.requests"); st(&mut m, 3, "1"); let mut sum = Vec::new();
                for i in 0..48usize { let x = &mut c[pod as usize * 48 + i]; *x += r.b(if i % 4 == 0 { 400 } else { 4 }); let mut d = Vec::new(); fx(&mut d, 2, start); fx(&mut d, 3, now); fx(&mut d, 6, *x); kv(&mut d, 7, "http.route", V::S(ROUTES[i / 4])); kv(&mut d, 7, "http.response.status_code", V::I([200, 400, 404, 500][i % 4])); by(&mut sum, 1, &d) }
                un(&mut sum, 2, 2); un(&mut sum, 3, 1); by(&mut m, 7, &sum); by(&mut sm, 2, &m);
                for i in 0..10usize { let x = &mut g[pod as usize * 10 + i]; *x = (*x + r.f() * 4.0 - 2.0).max(0.0); let mut m = Vec::new(); st(&mut m, 1, gn[i]); let mut d = Vec::new(); fx(&mut d, 3, now); fx(&mut d, 4, ((*x * 1000.0).round() / 1000.0).to_bits()); let mut ga = Vec::new(); by(&mut ga, 1, &d); by(&mut m, 5, &ga); by(&mut sm, 2, &m) }
                let mut m = Vec::new(); st(&mut m, 1, "http.server.request.duration"); st(&mut m, 3, "s"); let mut hi = Vec::new();
                for i in 0..12usize { let k = pod as usize * 12 + i; for j in 0..12 { hb[k][j] += r.b(30 - 2 * j as u64) } hs[k] += r.f() * 10.0; let mut d = Vec::new(); kv(&mut d, 9, "http.route", V::S(ROUTES[i])); fx(&mut d, 2, start); fx(&mut d, 3, now); fx(&mut d, 4, hb[k].iter().sum()); fx(&mut d, 5, hs[k].to_bits()); let b: Vec<u8> = hb[k].iter().flat_map(|x| x.to_le_bytes()).collect(); by(&mut d, 6, &b); let b: Vec<u8> = bounds.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect(); by(&mut d, 7, &b); by(&mut hi, 1, &d) }
                un(&mut hi, 2, 2); by(&mut m, 9, &hi); by(&mut sm, 2, &m);
                let mut rm = Vec::new(); by(&mut rm, 1, &res[pod as usize].1); by(&mut rm, 2, &sm); by(&mut req, 1, &rm);
            }
            o.put(&req, (q * 70) as u32); p += q;
        }
    }
    t.insert("steps".into(), steps); t.insert("points".into(), steps * per_step); t.insert("prom_series".into(), PODS * (48 + 10 + 12 * 14)); t.insert("prom_samples".into(), steps * PODS * (48 + 10 + 12 * 14)); t.insert("final_requests_total".into(), c.iter().sum());
}

// ---------- sender ----------
fn cpu_rss(pid: u32) -> (f64, u64, u64) { // cpu s, rss KiB, peak KiB
    let s = std::fs::read_to_string(format!("/proc/{}/stat", pid)).unwrap_or_default(); let f: Vec<&str> = s.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let cpu = if f.len() > 13 { (f[11].parse::<f64>().unwrap_or(0.) + f[12].parse::<f64>().unwrap_or(0.)) / 100.0 } else { 0. };
    let st = std::fs::read_to_string(format!("/proc/{}/status", pid)).unwrap_or_default(); let g = |k: &str| st.lines().find(|l| l.starts_with(k)).and_then(|l| l.split_whitespace().nth(1)).and_then(|x| x.parse().ok()).unwrap_or(0);
    (cpu, g("VmRSS:"), g("VmHWM:"))
}
struct H1 { s: TcpStream, head: String, buf: Vec<u8> }
impl H1 {
    fn post(&mut self, body: &[u8]) -> std::io::Result<(u16, String)> {
        let mut m = Vec::with_capacity(body.len() + 300); write!(m, "{}Content-Length: {}\r\n\r\n", self.head, body.len())?; m.extend_from_slice(body); self.s.write_all(&m)?;
        self.buf.clear(); let mut tmp = [0u8; 8192];
        loop {
            let n = self.s.read(&mut tmp)?; if n == 0 { return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "closed")) } self.buf.extend_from_slice(&tmp[..n]);
            if let Some(h) = self.buf.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buf[..h]).to_lowercase(); let code: u16 = head[9..12].parse().unwrap_or(0);
                let len = head.lines().find_map(|l| l.strip_prefix("content-length:").map(|v| v.trim().parse::<usize>().unwrap_or(0)));
                let chunked = head.contains("transfer-encoding: chunked"); let have = self.buf.len() - h - 4;
                let ok = if chunked { self.buf.ends_with(b"0\r\n\r\n") } else { have >= len.unwrap_or(0) }; if ok { return Ok((code, String::from_utf8_lossy(&self.buf[h + 4..]).chars().take(200).collect())) }
            }
        }
    }
}
// minimal h2c gRPC unary client: one stream at a time per connection, honours flow control
struct H2 { s: TcpStream, hdr: Vec<u8>, sid: u32, cwin: i64, iwin: i64, maxf: usize, rbuf: Vec<u8> }
fn hp(o: &mut Vec<u8>, k: &str, v: &str) { o.push(0); o.push(k.len() as u8); o.extend_from_slice(k.as_bytes()); assert!(v.len() < 127 && k.len() < 127); o.push(v.len() as u8); o.extend_from_slice(v.as_bytes()) }
fn fr(o: &mut Vec<u8>, ty: u8, fl: u8, sid: u32, p: &[u8]) { o.extend_from_slice(&(p.len() as u32).to_be_bytes()[1..]); o.push(ty); o.push(fl); o.extend_from_slice(&sid.to_be_bytes()); o.extend_from_slice(p) }
impl H2 {
    fn new(s: TcpStream, host: &str, path: &str) -> std::io::Result<H2> {
        let mut h = Vec::new(); hp(&mut h, ":method", "POST"); hp(&mut h, ":scheme", "http"); hp(&mut h, ":path", path); hp(&mut h, ":authority", host); hp(&mut h, "content-type", "application/grpc"); hp(&mut h, "te", "trailers"); hp(&mut h, "user-agent", "otlpload");
        let mut o = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(); fr(&mut o, 4, 0, 0, &[0, 2, 0, 0, 0, 0]); let mut s = s; s.write_all(&o)?;
        Ok(H2 { s, hdr: h, sid: 1, cwin: 65535, iwin: 65535, maxf: 16384, rbuf: Vec::new() })
    }
    fn frame(&mut self) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
        loop {
            if self.rbuf.len() >= 9 { let l = u32::from_be_bytes([0, self.rbuf[0], self.rbuf[1], self.rbuf[2]]) as usize; if self.rbuf.len() >= 9 + l { let b = self.rbuf[9..9 + l].to_vec(); let r = (self.rbuf[3], self.rbuf[4], u32::from_be_bytes([self.rbuf[5] & 127, self.rbuf[6], self.rbuf[7], self.rbuf[8]]), b); self.rbuf.drain(..9 + l); return Ok(r) } }
            let mut t = [0u8; 16384]; let n = self.s.read(&mut t)?; if n == 0 { return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "h2 closed")) } self.rbuf.extend_from_slice(&t[..n]);
        }
    }
    fn post(&mut self, body: &[u8]) -> std::io::Result<(u16, String)> {
        let sid = self.sid; self.sid += 2; let mut swin = self.iwin; let mut o = Vec::with_capacity(body.len() + 1024); let h = self.hdr.clone(); fr(&mut o, 1, 4, sid, &h);
        let mut msg = vec![0u8]; msg.extend_from_slice(&(body.len() as u32).to_be_bytes()); msg.extend_from_slice(body); let mut p = 0; let mut trailer_seen = 0; let mut err = String::new();
        loop {
            while p < msg.len() && self.cwin > 0 && swin > 0 { let k = (msg.len() - p).min(self.maxf).min(self.cwin as usize).min(swin as usize); let e = p + k == msg.len(); fr(&mut o, 0, e as u8, sid, &msg[p..p + k]); p += k; self.cwin -= k as i64; swin -= k as i64 }
            if !o.is_empty() { self.s.write_all(&o)?; o.clear() }
            let (ty, fl, id, pl) = self.frame()?;
            match ty {
                0 => { if !pl.is_empty() { let n = (pl.len() as u32).to_be_bytes(); fr(&mut o, 8, 0, 0, &n); } }
                1 | 9 => { let raw = String::from_utf8_lossy(&pl).to_string(); if id == sid { trailer_seen += 1; if raw.contains("grpc-message") || raw.contains("resource") { err = raw } if fl & 1 != 0 { return Ok((if err.is_empty() { 200 } else { 500 }, err)) } } }
                3 => { if id == sid { return Ok((599, format!("rst {:?}", pl))) } }
                4 => if fl & 1 == 0 { for c in pl.chunks(6) { let k = u16::from_be_bytes([c[0], c[1]]); let v = u32::from_be_bytes([c[2], c[3], c[4], c[5]]); if k == 4 { swin += v as i64 - self.iwin; self.iwin = v as i64 } if k == 5 { self.maxf = v as usize } } fr(&mut o, 4, 1, 0, &[]) },
                6 => if fl & 1 == 0 { fr(&mut o, 6, 1, 0, &pl) },
                7 => return Err(std::io::Error::new(std::io::ErrorKind::ConnectionAborted, format!("goaway {}", String::from_utf8_lossy(&pl)))),
                8 => { let v = u32::from_be_bytes([pl[0] & 127, pl[1], pl[2], pl[3]]) as i64; if id == 0 { self.cwin += v } else if id == sid { swin += v } }
                _ => {}
            }
            let _ = trailer_seen;
        }
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect(); let opt = |k: &str| a.iter().find_map(|x| x.strip_prefix(&format!("{}=", k)).map(|s| s.to_string()));
    let num = |k: &str, d: u64| opt(k).map(|x| x.parse().unwrap()).unwrap_or(d);
    match a.get(1).map(|s| s.as_str()) {
        Some("gen") => {
            let (kind, out, n) = (&a[2], &a[3], a[4].parse::<u64>().unwrap()); let end = num("end", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
            let mut o = Out { w: BufWriter::with_capacity(1 << 20, File::create(out).unwrap()), reqs: 0, bytes: 0 }; let mut r = R(num("seed", 1)); let mut t = T::new(); let mut samp = Vec::new();
            match kind.as_str() { "logs" => gen_logs(&mut o, n, num("batch", 1000), &mut r, end, num("span", 3600), &mut t, &mut samp), "traces" => gen_traces(&mut o, n, num("batch", 1000), &mut r, end, num("span", 3600), &mut t, &mut samp), "metrics" => gen_metrics(&mut o, n, num("batch", 20), &mut r, end, num("step", 15), &mut t), _ => panic!("kind") }
            o.w.flush().unwrap(); let kvs: Vec<String> = t.iter().map(|(k, v)| format!("\"{}\":{}", k, v)).collect();
            std::fs::write(format!("{}.truth.json", out), format!("{{\"kind\":\"{}\",\"n\":{},\"requests\":{},\"bytes\":{},\"end\":{},{},\"trace_ids\":{:?}}}\n", kind, n, o.reqs, o.bytes, end, kvs.join(","), samp)).unwrap();
            println!("{} requests, {} records, {} payload bytes, {:.1} B/record", o.reqs, n, o.bytes, o.bytes as f64 / n as f64);
        }
        Some("send") => {
            let mut d = Vec::new(); File::open(&a[2]).unwrap().read_to_end(&mut d).unwrap(); let mut items = Vec::new(); let mut p = 0; while p < d.len() { let l = u32::from_le_bytes(d[p..p + 4].try_into().unwrap()) as usize; let n = u32::from_le_bytes(d[p + 4..p + 8].try_into().unwrap()); items.push((p + 8, l, n)); p += 8 + l }
            let lim = num("limit", items.len() as u64) as usize; items.truncate(lim); let url = a[3].strip_prefix("http://").expect("http:// url").to_string(); let (host, path) = match url.find('/') { Some(i) => (url[..i].to_string(), url[i..].to_string()), None => (url.clone(), "/".into()) };
            let grpc = a.iter().any(|x| x == "grpc"); let stop = a.iter().any(|x| x == "stop"); let conns = num("conns", 2); let rate = num("rate", 0); let pid = num("pid", 0) as u32; let extra: String = a.iter().filter_map(|x| x.strip_prefix("hdr=")).map(|h| format!("{}\r\n", h.replacen(':', ": ", 1))).collect();
            let (d, items) = (Arc::new(d), Arc::new(items)); let next = Arc::new(AtomicUsize::new(0)); let (recs, bytes, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))); let lat = Arc::new(Mutex::new(Vec::<u32>::new())); let c0 = cpu_rss(pid); let me0 = cpu_rss(std::process::id()); let t0 = Instant::now();
            let hs: Vec<_> = (0..conns).map(|_| { let (d, items, next, recs, bytes, bad, lat, host, path, extra) = (d.clone(), items.clone(), next.clone(), recs.clone(), bytes.clone(), bad.clone(), lat.clone(), host.clone(), path.clone(), extra.clone());
                std::thread::spawn(move || {
                    let conn = || -> std::io::Result<TcpStream> { let s = TcpStream::connect(&host)?; s.set_nodelay(true)?; s.set_read_timeout(Some(Duration::from_secs(60)))?; Ok(s) };
                    let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\n{}", path, host, extra);
                    let mut h1 = if grpc { None } else { Some(H1 { s: conn().expect("connect"), head: head.clone(), buf: Vec::new() }) }; let mut h2 = if grpc { Some(H2::new(conn().expect("connect"), &host, &path).unwrap()) } else { None }; let mut my = Vec::new();
                    loop {
                        let i = next.fetch_add(1, Relaxed); if i >= items.len() { break } let (o, l, n) = items[i];
                        if rate > 0 { let due = Duration::from_secs_f64(i as f64 / rate as f64); let e = t0.elapsed(); if due > e { std::thread::sleep(due - e) } }
                        let mut tries = 0; loop {
                            let s = Instant::now(); let r = if grpc { h2.as_mut().unwrap().post(&d[o..o + l]) } else { h1.as_mut().unwrap().post(&d[o..o + l]) };
                            match r {
                                Ok((c, _)) if (200..300).contains(&c) => { recs.fetch_add(n as u64, Relaxed); bytes.fetch_add(l as u64, Relaxed); my.push(s.elapsed().as_micros() as u32); break }
                                Ok((c, m)) => { let b = bad.fetch_add(1, Relaxed); if b < 5 { eprintln!("status {} {}", c, m) } if (c == 429 || c == 503) && tries < 200 { tries += 1; std::thread::sleep(Duration::from_millis(20)); continue } break }
                                Err(e) => { let b = bad.fetch_add(1, Relaxed); if b < 5 { eprintln!("error {}", e) } if stop { next.store(usize::MAX / 2, Relaxed); break } tries += 1; if tries > 5 { break }
                                    // a server that is down or restarting: wait, reconnect, send this request again
                                    std::thread::sleep(Duration::from_millis(100)); if let Ok(s) = conn() { if grpc { if let Ok(h) = H2::new(s, &host, &path) { h2 = Some(h) } } else { h1 = Some(H1 { s, head: head.clone(), buf: Vec::new() }) } } }
                            }
                        }
                    }
                    lat.lock().unwrap().extend(my);
                }) }).collect();
            let samp = Arc::new(AtomicU64::new(0)); { let s = samp.clone(); std::thread::spawn(move || loop { let r = cpu_rss(pid).1; s.fetch_max(r, Relaxed); std::thread::sleep(Duration::from_millis(100)) }); }
            for h in hs { h.join().unwrap() }
            let el = t0.elapsed().as_secs_f64(); let c1 = cpu_rss(pid); let me1 = cpu_rss(std::process::id()); let mut l = lat.lock().unwrap().clone(); l.sort(); let q = |f: f64| if l.is_empty() { 0. } else { l[((l.len() - 1) as f64 * f) as usize] as f64 / 1000. }; let rc = recs.load(Relaxed);
            println!("{{\"records\":{},\"requests\":{},\"bad\":{},\"secs\":{:.2},\"rec_per_s\":{:.0},\"MB_per_s\":{:.1},\"srv_cpu_s\":{:.2},\"rec_per_cpu_s\":{:.0},\"srv_rss_peak_MB\":{:.0},\"srv_rss_end_MB\":{:.0},\"vmhwm_MB\":{:.0},\"client_cpu_s\":{:.2},\"lat_ms\":{{\"p50\":{:.2},\"p99\":{:.2},\"max\":{:.2}}}}}", rc, l.len(), bad.load(Relaxed), el, rc as f64 / el, bytes.load(Relaxed) as f64 / el / 1e6, c1.0 - c0.0, rc as f64 / (c1.0 - c0.0).max(0.01), samp.load(Relaxed) as f64 / 1024., c1.1 as f64 / 1024., c1.2 as f64 / 1024., me1.0 - me0.0, q(0.5), q(0.99), q(1.0));
        }
        _ => eprintln!("otlpload gen logs|traces|metrics OUT N [batch=] [seed=] [end=] [span=] | send FILE URL [conns=2] [pid=] [limit=] [rate=] [grpc] [hdr=K:V]"),
    }
}
