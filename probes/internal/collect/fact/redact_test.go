package fact

import "testing"

func TestSecretsOfVariablesStayOnTheHost(t *testing.T) {
	for variable, want := range map[string]string{
		"DB_PASSWORD=x=y":              "DB_PASSWORD=[redacted 3]",
		"aws_secret_access_key=abc":    "aws_secret_access_key=[redacted 3]",
		"MYSQL_PWD=abc":                "MYSQL_PWD=[redacted 3]",
		"API_TOKEN=":                   "API_TOKEN=[redacted 0]",
		"URL=postgres://u:pw@db/x":     "URL=postgres://u:[redacted 2]@db/x",
		"URL=amqp://u:p/w@mq:5672/":    "URL=amqp://u:[redacted 3]@mq:5672/",
		"URL=redis://:pw@cache:6379/0": "URL=redis://:[redacted 2]@cache:6379/0",
		"HOME=/root":                   "HOME=/root",
		"PWD=/root":                    "PWD=/root",
		"SSH_ASKPASS=/usr/bin/ask":     "SSH_ASKPASS=/usr/bin/ask",
		"URL=https://example.com/a@b":  "URL=https://example.com/a@b",
		"URL=https://u@example.com/":   "URL=https://u@example.com/",
		"PROXY=http://proxy:3128/":     "PROXY=http://proxy:3128/",
		"TOKEN":                        "TOKEN",
	} {
		if got := Redacted([]string{variable})[0]; got != want {
			t.Errorf("%s: %s", variable, got)
		}
	}
}
