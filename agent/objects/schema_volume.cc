// What a pod can mount. The mesh uses none of it; the tables are here so that a misspelt field is found.
#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kHostPathVolumeSource[] = {{"path", kString}, {"type", kString}};
constexpr Field kEmptyDirVolumeSource[] = {{"medium", kString}, {"sizeLimit", kQuantity}};
constexpr Field kGCEPersistentDiskVolumeSource[] = {
    {"pdName", kString},
    {"fsType", kString},
    {"partition", kInt32},
    {"readOnly", kBool},
};
constexpr Field kAWSElasticBlockStoreVolumeSource[] = {
    {"volumeID", kString},
    {"fsType", kString},
    {"partition", kInt32},
    {"readOnly", kBool},
};
constexpr Field kGitRepoVolumeSource[] = {
    {"repository", kString}, {"revision", kString}, {"directory", kString}};
constexpr Field kKeyToPath[] = {{"key", kString}, {"path", kString}, {"mode", kInt32}};
constexpr Field kSecretVolumeSource[] = {
    {"secretName", kString},
    {"items", list(kKeyToPath)},
    {"defaultMode", kInt32},
    {"optional", kBool},
};
constexpr Field kNFSVolumeSource[] = {{"server", kString}, {"path", kString}, {"readOnly", kBool}};
constexpr Field kISCSIVolumeSource[] = {
    {"targetPortal", kString},
    {"iqn", kString},
    {"lun", kInt32},
    {"iscsiInterface", kString},
    {"fsType", kString},
    {"readOnly", kBool},
    {"portals", kStrings},
    {"chapAuthDiscovery", kBool},
    {"chapAuthSession", kBool},
    {"secretRef", one(kLocalObjectReference)},
    {"initiatorName", kString},
};
constexpr Field kGlusterfsVolumeSource[] = {{"endpoints", kString}, {"path", kString}, {"readOnly", kBool}};
constexpr Field kPersistentVolumeClaimVolumeSource[] = {{"claimName", kString}, {"readOnly", kBool}};
constexpr Field kRBDVolumeSource[] = {
    {"monitors", kStrings},
    {"image", kString},
    {"fsType", kString},
    {"pool", kString},
    {"user", kString},
    {"keyring", kString},
    {"secretRef", one(kLocalObjectReference)},
    {"readOnly", kBool},
};
constexpr Field kFlexVolumeSource[] = {
    {"driver", kString}, {"fsType", kString},     {"secretRef", one(kLocalObjectReference)},
    {"readOnly", kBool}, {"options", kStringMap},
};
constexpr Field kCinderVolumeSource[] = {
    {"volumeID", kString},
    {"fsType", kString},
    {"readOnly", kBool},
    {"secretRef", one(kLocalObjectReference)},
};
constexpr Field kCephFSVolumeSource[] = {
    {"monitors", kStrings},
    {"path", kString},
    {"user", kString},
    {"secretFile", kString},
    {"secretRef", one(kLocalObjectReference)},
    {"readOnly", kBool},
};
constexpr Field kFlockerVolumeSource[] = {{"datasetName", kString}, {"datasetUUID", kString}};
constexpr Field kObjectFieldSelector[] = {{"apiVersion", kString}, {"fieldPath", kString}};
constexpr Field kResourceFieldSelector[] = {
    {"containerName", kString}, {"resource", kString}, {"divisor", kQuantity}};
constexpr Field kDownwardAPIVolumeFile[] = {
    {"path", kString},
    {"fieldRef", one(kObjectFieldSelector)},
    {"resourceFieldRef", one(kResourceFieldSelector)},
    {"mode", kInt32},
};
constexpr Field kDownwardAPIVolumeSource[] = {{"items", list(kDownwardAPIVolumeFile)},
                                              {"defaultMode", kInt32}};
constexpr Field kFCVolumeSource[] = {
    {"targetWWNs", kStrings}, {"lun", kInt32}, {"fsType", kString}, {"readOnly", kBool}, {"wwids", kStrings},
};
constexpr Field kAzureFileVolumeSource[] = {
    {"secretName", kString}, {"shareName", kString}, {"readOnly", kBool}};
constexpr Field kConfigMapVolumeSource[] = {
    {"name", kString},
    {"items", list(kKeyToPath)},
    {"defaultMode", kInt32},
    {"optional", kBool},
};
constexpr Field kVsphereVirtualDiskVolumeSource[] = {
    {"volumePath", kString},
    {"fsType", kString},
    {"storagePolicyName", kString},
    {"storagePolicyID", kString},
};
constexpr Field kQuobyteVolumeSource[] = {
    {"registry", kString}, {"volume", kString}, {"readOnly", kBool},
    {"user", kString},     {"group", kString},  {"tenant", kString},
};
constexpr Field kAzureDiskVolumeSource[] = {
    {"diskName", kString}, {"diskURI", kString}, {"cachingMode", kString},
    {"fsType", kString},   {"readOnly", kBool},  {"kind", kString},
};
constexpr Field kPhotonPersistentDiskVolumeSource[] = {{"pdID", kString}, {"fsType", kString}};
constexpr Field kSecretProjection[] = {{"name", kString}, {"items", list(kKeyToPath)}, {"optional", kBool}};
constexpr Field kDownwardAPIProjection[] = {{"items", list(kDownwardAPIVolumeFile)}};
constexpr Field kConfigMapProjection[] = {
    {"name", kString}, {"items", list(kKeyToPath)}, {"optional", kBool}};
constexpr Field kServiceAccountTokenProjection[] = {
    {"audience", kString}, {"expirationSeconds", kInt64}, {"path", kString}};
constexpr Field kClusterTrustBundleProjection[] = {
    {"name", kString},   {"signerName", kString}, {"labelSelector", one(kLabelSelector)},
    {"optional", kBool}, {"path", kString},
};
constexpr Field kPodCertificateProjection[] = {
    {"signerName", kString},           {"keyType", kString}, {"maxExpirationSeconds", kInt32},
    {"credentialBundlePath", kString}, {"keyPath", kString}, {"certificateChainPath", kString},
    {"userAnnotations", kStringMap},
};
constexpr Field kVolumeProjection[] = {
    {"secret", one(kSecretProjection)},
    {"downwardAPI", one(kDownwardAPIProjection)},
    {"configMap", one(kConfigMapProjection)},
    {"serviceAccountToken", one(kServiceAccountTokenProjection)},
    {"clusterTrustBundle", one(kClusterTrustBundleProjection)},
    {"podCertificate", one(kPodCertificateProjection)},
};
constexpr Field kProjectedVolumeSource[] = {{"sources", list(kVolumeProjection)}, {"defaultMode", kInt32}};
constexpr Field kPortworxVolumeSource[] = {{"volumeID", kString}, {"fsType", kString}, {"readOnly", kBool}};
constexpr Field kScaleIOVolumeSource[] = {
    {"gateway", kString},     {"system", kString},           {"secretRef", one(kLocalObjectReference)},
    {"sslEnabled", kBool},    {"protectionDomain", kString}, {"storagePool", kString},
    {"storageMode", kString}, {"volumeName", kString},       {"fsType", kString},
    {"readOnly", kBool},
};
constexpr Field kStorageOSVolumeSource[] = {
    {"volumeName", kString},
    {"volumeNamespace", kString},
    {"fsType", kString},
    {"readOnly", kBool},
    {"secretRef", one(kLocalObjectReference)},
};
constexpr Field kCSIVolumeSource[] = {
    {"driver", kString},
    {"readOnly", kBool},
    {"fsType", kString},
    {"volumeAttributes", kStringMap},
    {"nodePublishSecretRef", one(kLocalObjectReference)},
};
constexpr Field kVolumeResourceRequirements[] = {{"limits", map(kQuantity)}, {"requests", map(kQuantity)}};
constexpr Field kTypedLocalObjectReference[] = {{"apiGroup", kString}, {"kind", kString}, {"name", kString}};
constexpr Field kTypedObjectReference[] = {
    {"apiGroup", kString},
    {"kind", kString},
    {"name", kString},
    {"namespace", kString},
};
constexpr Field kPersistentVolumeClaimSpec[] = {
    {"accessModes", kStrings},
    {"selector", one(kLabelSelector)},
    {"resources", one(kVolumeResourceRequirements)},
    {"volumeName", kString},
    {"storageClassName", kString},
    {"volumeMode", kString},
    {"dataSource", one(kTypedLocalObjectReference)},
    {"dataSourceRef", one(kTypedObjectReference)},
    {"volumeAttributesClassName", kString},
};
constexpr Field kPersistentVolumeClaimTemplate[] = {{"metadata", one(kObjectMeta)},
                                                    {"spec", one(kPersistentVolumeClaimSpec)}};
constexpr Field kEphemeralVolumeSource[] = {{"volumeClaimTemplate", one(kPersistentVolumeClaimTemplate)}};
constexpr Field kImageVolumeSource[] = {{"reference", kString}, {"pullPolicy", kString}};

}  // namespace

constinit const Field kVolume[31] = {
    {"name", kString},
    {"hostPath", one(kHostPathVolumeSource)},
    {"emptyDir", one(kEmptyDirVolumeSource)},
    {"gcePersistentDisk", one(kGCEPersistentDiskVolumeSource)},
    {"awsElasticBlockStore", one(kAWSElasticBlockStoreVolumeSource)},
    {"gitRepo", one(kGitRepoVolumeSource)},
    {"secret", one(kSecretVolumeSource)},
    {"nfs", one(kNFSVolumeSource)},
    {"iscsi", one(kISCSIVolumeSource)},
    {"glusterfs", one(kGlusterfsVolumeSource)},
    {"persistentVolumeClaim", one(kPersistentVolumeClaimVolumeSource)},
    {"rbd", one(kRBDVolumeSource)},
    {"flexVolume", one(kFlexVolumeSource)},
    {"cinder", one(kCinderVolumeSource)},
    {"cephfs", one(kCephFSVolumeSource)},
    {"flocker", one(kFlockerVolumeSource)},
    {"downwardAPI", one(kDownwardAPIVolumeSource)},
    {"fc", one(kFCVolumeSource)},
    {"azureFile", one(kAzureFileVolumeSource)},
    {"configMap", one(kConfigMapVolumeSource)},
    {"vsphereVolume", one(kVsphereVirtualDiskVolumeSource)},
    {"quobyte", one(kQuobyteVolumeSource)},
    {"azureDisk", one(kAzureDiskVolumeSource)},
    {"photonPersistentDisk", one(kPhotonPersistentDiskVolumeSource)},
    {"projected", one(kProjectedVolumeSource)},
    {"portworxVolume", one(kPortworxVolumeSource)},
    {"scaleIO", one(kScaleIOVolumeSource)},
    {"storageos", one(kStorageOSVolumeSource)},
    {"csi", one(kCSIVolumeSource)},
    {"ephemeral", one(kEphemeralVolumeSource)},
    {"image", one(kImageVolumeSource)},
};

}  // namespace weft::objects::schema
