// Holds dashboards against the schema that Grafana publishes as Go types: unknown and missing fields, wrong types.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	status := 0
	for _, path := range os.Args[1:] {
		if found := findings(path); found != "" {
			fmt.Printf("%s: %s\n", path, found)
			status = 1
		}
	}
	os.Exit(status)
}

func findings(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var made dashboard.Dashboard
	// Never nil: a list of errors, which may be empty.
	if err := made.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := made.Validate(); err != nil && err.Error() != "" {
		return err.Error()
	}
	return ""
}
