//! A git server over https: `git-http-backend` behind nginx, with a certificate of a test's own authority.

use crate::machines::HOST;
use crate::port::Port;
use crate::process::Process;
use crate::wait;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The server. It listens three times: with a certificate that its authority has signed, with one that signed itself, and
/// without any; and whatever is asked of the first below `/elsewhere` it sends to the last.
pub struct GitHttps {
    work: PathBuf,
    authority: String,
    ports: [Port; 3],
    _processes: [Process; 2],
}

impl GitHttps {
    /// Serves commits of the directory `work` as `/box.git`; its own files are in the new directory `files`.
    pub async fn start(files: &Path, work: &Path) -> Self {
        fs::create_dir(files).unwrap();
        certificates(files);
        let ports = [(); 3].map(|()| Port::reserve(HOST.into()));
        let addresses = ports.each_ref().map(|port| port.address.to_string());
        let here = files.display().to_string();
        let config = files.join("nginx.conf");
        fs::write(&config, configuration(&here, &addresses)).unwrap();
        let log = files.join("servers.log");
        let socket = files.join("cgi.sock");
        let mut cgi = Command::new("/usr/sbin/fcgiwrap");
        let cgi = Process::start(cgi.args(["-c", "2", "-s", &format!("unix:{}", socket.display())]), &log);
        wait::until(30, "fcgiwrap to listen", async || socket.exists().then_some(())).await;
        let mut nginx = Command::new("/usr/sbin/nginx");
        let nginx = Process::start(nginx.args(["-e", &format!("{here}/nginx.log"), "-c"]).arg(&config), &log);
        for port in &ports {
            wait::until(30, "nginx to listen", async || TcpStream::connect(port.address).ok()).await;
        }
        let authority = fs::read_to_string(files.join("authority.crt")).unwrap();
        let this = Self { work: work.to_owned(), authority, ports, _processes: [cgi, nginx] };
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this.git(&["init", "--quiet", "--bare", &format!("{here}/box.git")]);
        this.git(&["remote", "add", "origin", &format!("{here}/box.git")]);
        this
    }

    /// Commits what is in the directory, and moves the branch there.
    #[must_use]
    pub fn commit(&self) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message=x"]);
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The repository's URI, under the certificate that the authority has signed.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("https://{}/box.git", self.ports[0].address)
    }

    /// The same, under the certificate that signed itself.
    #[must_use]
    pub fn untrusted(&self) -> String {
        format!("https://{}/box.git", self.ports[1].address)
    }

    /// The same without any.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("http://{}/box.git", self.ports[2].address)
    }

    /// What sends whoever asks to [`Self::plain`].
    #[must_use]
    pub fn elsewhere(&self) -> String {
        format!("https://{}/elsewhere/box.git", self.ports[0].address)
    }

    /// A shell script that makes a Debian, or a Gentoo, trust the authority.
    #[must_use]
    pub fn introduction(&self) -> String {
        format!(
            "cat >/usr/local/share/ca-certificates/authority.crt <<'END'\n{}END\nupdate-ca-certificates\n",
            self.authority
        )
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(&self.work).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// An authority, a certificate of it, and one that signed itself, each with its key.
fn certificates(files: &Path) {
    let [a, b, c, d] = HOST;
    let script = format!(
        "new() {{ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \"$@\"; }}
         host='subjectAltName=IP:{a}.{b}.{c}.{d}'
         new -subj /CN=authority -keyout authority.key -out authority.crt
         new -subj /CN=trusted -addext \"$host\" -CA authority.crt -CAkey authority.key \
             -addext basicConstraints=critical,CA:FALSE -keyout trusted.key -out trusted.crt
         new -subj /CN=untrusted -addext \"$host\" -keyout untrusted.key -out untrusted.crt"
    );
    let output = Command::new("sh").args(["-euc", &script]).current_dir(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// git-http-backend(1), "nginx" as it is for its other servers.
fn configuration(here: &str, [trusted, untrusted, plain]: &[String; 3]) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {here}/{name};\n"))
        .concat();
    let served = format!(
        "location / {{
            fastcgi_pass unix:{here}/cgi.sock;
            fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_PROJECT_ROOT {here};
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
        }}"
    );
    let tls = |address: &str, name: &str, more: &str| {
        format!(
            "    server {{
        listen {address} ssl;
        ssl_certificate {here}/{name}.crt;
        ssl_certificate_key {here}/{name}.key;
        {more}
        {served}
    }}
"
        )
    };
    let redirect = format!("location /elsewhere/ {{ rewrite ^/elsewhere(.*)$ http://{plain}$1 redirect; }}");
    format!(
        "daemon off;
user root;
pid {here}/nginx.pid;
error_log {here}/nginx.log;
events {{ worker_connections 64; }}
http {{
    access_log {here}/access.log;
{temporary}{}{}    server {{
        listen {plain};
        {served}
    }}
}}
",
        tls(trusted, "trusted", &redirect),
        tls(untrusted, "untrusted", "")
    )
}
