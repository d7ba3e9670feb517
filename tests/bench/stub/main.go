// Command stub is a bare Go webhook: net/http, the review decoded to a map, a constant
// patch. It is the floor of what any webhook in Go costs, and what ours is measured by.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
)

const patch = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvY29udGFpbmVycy8wL2VudkZyb20iLCJ2YWx1ZSI6W3sic2VjcmV0UmVmIjp7Im5hbWUiOiJ4In19XX1d"

func mutate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	var review map[string]any
	if err := json.Unmarshal(body, &review); err != nil {
		http.Error(w, "json", http.StatusBadRequest)
		return
	}
	request, _ := review["request"].(map[string]any)
	answer, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1",
		"kind":       "AdmissionReview",
		"response": map[string]any{
			"uid": request["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch,
		},
	})
	if err != nil {
		http.Error(w, "encode", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

func main() {
	bind := flag.String("bind", "127.0.0.1:0", "address")
	dir := flag.String("cert-dir", ".", "folder with tls.crt and tls.key")
	flag.Parse()
	http.HandleFunc("/mutate", mutate)
	log.Fatal(http.ListenAndServeTLS(*bind, *dir+"/tls.crt", *dir+"/tls.key", nil))
}
