// Engine answers, packet by packet, what kube-network-policies would do.
//
// It reads worlds as JSON, one a line, and writes one line of booleans for each: whether
// the engine inside kindnet lets each packet pass. Nothing of it is ours but the reading:
// policies, pods and namespaces go into its informers' stores as the API server would
// send them.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
)

type packet struct {
	Source      string      `json:"source"`
	Destination string      `json:"destination"`
	Port        int         `json:"port"`
	Protocol    v1.Protocol `json:"protocol"`
}

type world struct {
	Namespaces []*v1.Namespace               `json:"namespaces"`
	Pods       []*v1.Pod                     `json:"pods"`
	Policies   []*networkingv1.NetworkPolicy `json:"policies"`
	Packets    []packet                      `json:"packets"`
	AsIs       bool                          `json:"asIs"`
}

// put fills a store that no API server feeds here.
func put[T any](store cache.Indexer, objects []T) {
	for _, object := range objects {
		if err := store.Add(object); err != nil {
			panic(err)
		}
	}
}

// defaulted fills what the API server fills in before any engine sees a policy.
func defaulted(policy *networkingv1.NetworkPolicy) {
	spec := &policy.Spec
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	// Protocol buffers, in which the API server stores, know no empty list.
	if len(spec.Egress) == 0 {
		spec.Egress = nil
	}
	if len(spec.Ingress) == 0 {
		spec.Ingress = nil
	}
	tcp := v1.ProtocolTCP
	for _, rule := range spec.Egress {
		for i := range rule.Ports {
			if rule.Ports[i].Protocol == nil {
				rule.Ports[i].Protocol = &tcp
			}
		}
	}
	for _, rule := range spec.Ingress {
		for i := range rule.Ports {
			if rule.Ports[i].Protocol == nil {
				rule.Ports[i].Protocol = &tcp
			}
		}
	}
}

func judge(w world) ([]bool, error) {
	for _, policy := range w.Policies {
		if !w.AsIs {
			defaulted(policy)
		}
	}
	factory := informers.NewSharedInformerFactory(fake.NewSimpleClientset(), 0)
	namespaces := factory.Core().V1().Namespaces()
	pods := factory.Core().V1().Pods()
	policies := factory.Networking().V1().NetworkPolicies()
	put(namespaces.Informer().GetIndexer(), w.Namespaces)
	put(pods.Informer().GetIndexer(), w.Pods)
	put(policies.Informer().GetIndexer(), w.Policies)
	engine := networkpolicy.NewPolicyEngine(
		podinfo.NewInformerProvider(pods, namespaces, nil, nil),
		[]api.PolicyEvaluator{
			networkpolicy.NewStandardNetworkPolicy("node", namespaces, pods, policies),
		},
	)
	answers := make([]bool, 0, len(w.Packets))
	for _, p := range w.Packets {
		allowed, err := engine.EvaluatePacket(context.Background(), &network.Packet{
			SrcIP:   net.ParseIP(p.Source),
			DstIP:   net.ParseIP(p.Destination),
			SrcPort: 40000,
			DstPort: p.Port,
			Proto:   p.Protocol,
		})
		if err != nil {
			return nil, err
		}
		answers = append(answers, allowed)
	}
	return answers, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var w world
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answers, err := judge(w)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(answers); err != nil {
			os.Exit(1)
		}
	}
}
