package files

import (
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/seq"
)

// cronLine is one line of a crontab(5) that is no comment.
type cronLine struct {
	Variable string // NAME=value, when the line sets the environment of those below
	Schedule string
	Event    string // reboot, daily …, without the @
	Username string
	Command  string
	Interval int64 // smallest gap between two runs in seconds; 0 when it is not simple
	Valid    bool
}

// cronEvents are the words that stand in place of five fields, with their gap in seconds. A year and a month vary.
var cronEvents = map[string]int64{
	"reboot": 0, "yearly": 0, "annually": 0, "monthly": 0, "weekly": 7 * secondsPerDay, "daily": secondsPerDay,
	"midnight": secondsPerDay, "hourly": 3600, "every_minute": 60,
}

// parseCronLine reads one line; withUser says that a user name stands before the command, as in /etc/crontab. ok is
// false for comments and empty lines. What cron would not take is not Valid and has the whole line as its command.
func parseCronLine(line string, withUser bool) (c cronLine, ok bool) {
	line = strings.Trim(line, " \t\r")
	if line == "" || line[0] == '#' {
		return cronLine{}, false
	}
	if variable, is := cronVariable(line); is {
		return cronLine{Variable: variable, Valid: true}, true
	}
	rest := strings.TrimPrefix(line, "-") // cronie: do not log
	if strings.HasPrefix(rest, "@") {
		var word string
		word, rest = nextWord(rest)
		c.Schedule, c.Event = word, strings.ToLower(word[1:])
		c.Interval, c.Valid = cronEvents[c.Event]
	} else {
		c.Schedule, rest = cutFields(rest, len(cronRanges))
		c.Interval, c.Valid = parseSchedule(strings.Fields(c.Schedule))
	}
	if withUser {
		c.Username, rest = nextWord(rest)
	}
	c.Command = strings.TrimLeft(rest, " \t")
	if !c.Valid || c.Command == "" {
		return cronLine{Command: line}, true
	}
	return c, true
}

// cutFields takes n words off the front and joins them with single blanks.
func cutFields(s string, n int) (fields, rest string) {
	var words []string
	for range n {
		var word string
		if word, s = nextWord(s); word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " "), s
}

// cronVariable reads NAME=value, where name and value may be quoted and blanks may stand around the sign.
func cronVariable(line string) (variable string, ok bool) {
	name, value, found := strings.Cut(line, "=")
	if !found {
		return "", false
	}
	name, value = unquote(strings.TrimSpace(name)), unquote(strings.TrimSpace(value))
	if name == "" || strings.ContainsAny(name, " \t*@/,") || name[0] >= '0' && name[0] <= '9' {
		return "", false
	}
	return name + "=" + value, true
}

// unquote takes one pair of equal quotes off.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// cronRange is what one of the five fields may say.
type cronRange struct {
	low, high int
	names     []string // of low, low+1, …
}

var (
	cronMonths = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	cronDays   = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	cronRanges = []cronRange{{0, 59, nil}, {0, 23, nil}, {1, 31, nil}, {1, 12, cronMonths}, {0, 7, cronDays}}
)

// parseSchedule checks the five fields and gives the smallest gap between runs in seconds, 0 when that depends on the
// calendar.
func parseSchedule(fields []string) (interval int64, valid bool) {
	if len(fields) != len(cronRanges) {
		return 0, false
	}
	var sets [5][]int
	for i, r := range cronRanges {
		set, ok := r.parse(fields[i])
		if !ok {
			return 0, false
		}
		sets[i] = set
	}
	everyDay := len(sets[2]) == 31 && len(sets[3]) == 12 && len(weekdays(sets[4])) == 7
	return smallestGap(sets[0], sets[1], everyDay, fields[2:], weekdays(sets[4])), true
}

// parse gives the sorted values that a field stands for.
func (r cronRange) parse(field string) (values []int, ok bool) {
	set := map[int]bool{}
	for part := range seq.Split(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 {
				return nil, false
			}
			step = n
		}
		low, high, ok := r.span(span, stepped)
		if !ok {
			return nil, false
		}
		for v := low; v <= high; v += step {
			set[v] = true
		}
	}
	for v := range set {
		values = append(values, v)
	}
	slices.Sort(values)
	return values, len(values) > 0
}

// span reads "*", "5", "1-5" or, of cronie, "1~5" (a time chosen at random, for which the first one stands).
func (r cronRange) span(text string, stepped bool) (low, high int, ok bool) {
	if text == "*" {
		return r.low, r.high, true
	}
	if first, last, random := strings.Cut(text, "~"); random {
		low, ok1 := r.value(first, r.low)
		_, ok2 := r.value(last, r.high)
		return low, low, ok1 && ok2
	}
	first, last, isSpan := strings.Cut(text, "-")
	low, ok = r.value(first, -1)
	switch {
	case !ok:
		return 0, 0, false
	case isSpan:
		high, ok = r.value(last, -1)
		return low, high, ok && low <= high
	case stepped:
		return low, r.high, true
	}
	return low, low, true
}

// value reads a number or a name; an empty text is otherwise, where that is not negative.
func (r cronRange) value(text string, otherwise int) (int, bool) {
	if text == "" && otherwise >= 0 {
		return otherwise, true
	}
	if i := slices.Index(r.names, strings.ToLower(text)); i >= 0 {
		return r.low + i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= r.low && n <= r.high
}

// weekdays folds Sunday's two numbers into one.
func weekdays(set []int) []int {
	var days []int
	for _, d := range set {
		if d %= 7; !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	slices.Sort(days)
	return days
}

// smallestGap gives the smallest gap in seconds. On days that the calendar decides, only times within a day count.
func smallestGap(minutes, hours []int, everyDay bool, dates []string, days []int) int64 {
	var times []int
	for _, h := range hours {
		for _, m := range minutes {
			times = append(times, h*60+m)
		}
	}
	gap := 0
	for i := 1; i < len(times); i++ {
		gap = smaller(gap, times[i]-times[i-1])
	}
	const minutesPerDay = 24 * 60
	switch {
	case everyDay:
		gap = smaller(gap, times[0]+minutesPerDay-times[len(times)-1])
	case gap == 0 && dates[0] == "*" && dates[1] == "*":
		for i := range days {
			next := days[(i+1)%len(days)] - days[i]
			if next <= 0 {
				next += 7
			}
			gap = smaller(gap, next*minutesPerDay)
		}
	}
	return int64(gap) * 60
}

// smaller is the smaller of two gaps, of which the first may not be known yet.
func smaller(gap, other int) int {
	if gap == 0 {
		return other
	}
	return min(gap, other)
}

// parseAnacronLine reads "period delay job-id command" of anacrontab(5).
func parseAnacronLine(line string) (c cronLine, ok bool) {
	line = strings.Trim(line, " \t\r")
	if line == "" || line[0] == '#' {
		return cronLine{}, false
	}
	if variable, is := cronVariable(line); is {
		return cronLine{Variable: variable, Valid: true}, true
	}
	period, rest := nextWord(line)
	delay, rest := nextWord(rest)
	_, rest = nextWord(rest)
	c = cronLine{Schedule: period + " " + delay, Username: "root", Command: strings.TrimLeft(rest, " \t")}
	if word, is := strings.CutPrefix(period, "@"); is {
		c.Event = strings.ToLower(word)
		c.Interval, c.Valid = cronEvents[c.Event]
	} else if days, err := strconv.Atoi(period); err == nil && days > 0 && days < 36500 {
		c.Interval, c.Valid = int64(days)*secondsPerDay, true
	}
	if _, err := strconv.Atoi(delay); err != nil || !c.Valid || c.Command == "" {
		return cronLine{Command: line}, true
	}
	return c, true
}
