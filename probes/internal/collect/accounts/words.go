package accounts

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Why a password is weak, from the plainest to what only the operator knows.
const (
	WeakEmpty    = "empty"
	WeakUserName = "user_name"
	WeakVariant  = "variant"
	WeakCommon   = "common"
	WeakCustom   = "custom"
)

// word is one guess.
type word struct {
	text, class string
}

// early is how many of the common words come before what is made of an account's own names: those that every list of
// leaked passwords begins with.
const early = 10

// common are the passwords that lists of leaked ones and scanners of default logins begin with, most frequent first;
// those of machines (root, toor, raspberry, …) stand among them as scanners try them.
const common = `123456 password 12345678 123456789 admin root 12345 qwerty 1234 changeme
password1 toor 123123 111111 abc123 1234567 1234567890 P@ssw0rd Password1 letmein welcome 000000 qwerty123 admin123
iloveyou dragon monkey 654321 666666 123321 test guest default server linux ubuntu debian centos raspberry pi vagrant
ansible docker oracle postgres mysql tomcat jenkins nagios zabbix hadoop git ftp www user user123 test123 root123
Password Passw0rd passw0rd p@ssw0rd p@ssword P@ssword Password123 password123 Password1! P@ssw0rd1 P@ssw0rd! P@ssw0rd123
Welcome1 Welcome123 welcome1 welcome123 Changeme1 Changeme123 ChangeMe changeme123 changeit letmein1 Letmein1 secret
secret123 Secret1 temp temp123 temporary pass pass123 pass1234 passwd login master sysadmin administrator Admin123
Admin@123 admin@123 admin1 admin12 admin1234 admin12345 admin123456 Root123 Root@123 root@123 root1 root12 root1234
root12345 root123456 rootroot rootpass rootme toor123 qwe123 qwe123!@# 1qaz2wsx 1qaz@WSX 1q2w3e 1q2w3e4r 1q2w3e4r5t
qazwsx qwertyuiop qwerty1 qwerty12 asdfgh asdfghjkl asdf asdf1234 zxcvbn zxcvbnm zaq12wsx !QAZ2wsx q1w2e3r4 qweasd
qweasdzxc q1w2e3 a123456 a12345678 123456a 123qwe 1234qwer 12qwaszx aa123456 abcd1234 abcdef abc12345 abcabc Abcd1234
Abc123 Aa123456 Aa123456! Qwerty123 Qwerty123! Qwerty1! Qq123456 123456789a 987654321 87654321 7654321 4321 54321 0
00000 00000000 0000 1 11 111 1111 11111 11111111 112233 11223344 121212 123123123 123 12 1212 123654 147258369
159357 159753 222222 333333 444444 555555 5555 777777 7777777 888888 88888888 999999 6666 8888 9999 696969 131313
101010 102030 1111111 123456123456 12341234 13579 2000 a b aaaaaa x xxx football baseball basketball soccer hockey
superman batman starwars pokemon michael jordan jessica jennifer ashley daniel thomas robert george charlie andrew
matthew joshua michelle nicole hunter hunter2 buster tigger shadow sunshine princess flower freedom whatever trustno1
computer internet samsung google apple hello hello123 hi killer mustang harley ferrari corvette yankees cowboys eagles
liverpool arsenal chelsea matrix cookie cheese pepper ginger summer winter spring autumn orange purple silver golden
diamond maggie bailey junior jackson lovely loveme love angel nothing access access14 ninja azerty solo photoshop
adobe123 mynoob passpass test1 test12 test1234 test12345 testing testtest tester demo demo123 guest123 guest1 public
private system support service services manager operator monitor backup backup123 web webadmin webmaster mail ftpuser
uploader sftp user1 user1234 userpass student teacher office company dev devel developer deploy devops jenkins123
postgres123 oracle123 mysql123 redis mongo mongodb elastic elasticsearch kibana grafana prometheus kafka spark hive
minecraft steam teamspeak ts3 csgo bot nginx apache www-data ec2-user azureuser cloud openstack kubernetes kube k8s
proxmox vmware esxi vmware123 cisco cisco123 juniper ubnt mikrotik pfsense opnsense synology qnap openwrt alpine kali
parrot arch fedora redhat suse rocky almalinux odroid orangepi bananapi armbian osmc libreelec retropie dietpi 1234abcd
xc3511 vizxv xmhdipc juantech 888888admin smcadmin meinsm klv123 klv1234 Zte521 hi3518 jvbzd anko zlxx. 7ujMko0vizxv
7ujMko0admin ikwb dreambox realtek calvin supervisor tech GM8182 S2fGqNFs tlJwpbo6 antslq hunt5759 D-Link
epicrouter symbol motorola zte huawei private123 Zaq1xsw2 nopassword none blank null undefined example sample foobar
foo bar`

// seasons and months that people put in front of a year when a password must change.
const seasons = "Spring Summer Autumn Fall Winter January February March April May June July August September October " +
	"November December Password Welcome Admin Company"

// sharedWords are those tried on every account: common ones, and by turns with them the operator's own.
func sharedWords(custom []string, year int) []word {
	common := strings.Fields(common)
	for _, y := range []int{year, year - 1} {
		for _, season := range strings.Fields(seasons) {
			dated := season + strconv.Itoa(y)
			common = append(common, dated, dated+"!")
		}
	}
	seen := map[string]bool{}
	var out []word
	add := func(text, class string) {
		if text != "" && !seen[text] {
			seen[text] = true
			out = append(out, word{text, class})
		}
	}
	for i, text := range common {
		if i >= early && i-early < len(custom) {
			add(custom[i-early], WeakCustom)
		}
		add(text, WeakCommon)
	}
	for i := len(common) - early; i < len(custom); i++ {
		add(custom[i], WeakCustom)
	}
	return out
}

// maxRemarks is how many words of the gecos field are tried, and maxName how long a name may be for it.
const (
	maxRemarks = 6
	maxName    = 40
)

// endings are what people put behind a name.
func endings(year int) []string {
	this, last := strconv.Itoa(year), strconv.Itoa(year-1)
	return []string{"1", "123", "1234", "12345", "123456", "12", "!", "@123", "01", this, last, this + "!", "2", "#123", "123!", "1!", "00"}
}

// ownWords are those of one account. The first two are its name and nothing at all.
func ownWords(u *User, hostname string, year int) []word {
	out := []word{{u.Name, WeakUserName}, {"", WeakEmpty}}
	add := func(texts ...string) {
		for _, text := range texts {
			if text != "" && !slices.ContainsFunc(out, func(w word) bool { return w.text == text }) {
				out = append(out, word{text, WeakVariant})
			}
		}
	}
	if name := u.Name; len(name) <= maxName {
		title := titled(name)
		add(name+"123", name+"1", reversed(name), name+name, title, title+"1", title+"123", title+"123!", title+"@123")
		add(title+strconv.Itoa(year), title+strconv.Itoa(year-1), strings.ToUpper(name))
		for _, end := range endings(year) {
			add(name + end)
		}
		add("123"+name, "@"+name, name+"pass", name+"password")
	}
	for _, remark := range remarks(u.Gecos) {
		lower := strings.ToLower(remark)
		add(remark, lower, lower+"123", lower+"1", titled(lower)+"123", titled(lower)+strconv.Itoa(year), titled(lower)+"1")
	}
	if short, _, _ := strings.Cut(hostname, "."); len(short) <= maxName {
		add(short, short+"123", u.Name+"@"+short)
	}
	return out
}

// remarks are the first words of the gecos field that are long enough to be a password.
func remarks(gecos string) []string {
	words := strings.FieldsFunc(gecos, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	words = slices.DeleteFunc(words, func(w string) bool { return len(w) < 3 || len(w) > maxName })
	return words[:min(len(words), maxRemarks)]
}

func titled(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func reversed(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}
