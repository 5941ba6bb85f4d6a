//! The partitions and regions of AWS that have CloudFront.

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::Refused;

/// A part of AWS with accounts, keys and a CloudFront of its own, named as in ARNs
/// (`arn:aws-cn:…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China, run by Sinnet and NWCD.
    AwsCn,
    AwsEusc,
}

impl Partition {
    /// What a list of regions calls the partition.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Aws => "Commercial",
            Self::AwsCn => "China",
            Self::AwsEusc => "European Sovereign Cloud",
        }
    }

    /// Where it is, within a sentence.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Aws => "AWS's commercial regions",
            Self::AwsCn => "AWS China",
            Self::AwsEusc => "the AWS European Sovereign Cloud",
        }
    }

    /// The one region for which CloudFront accepts signatures in this partition, by its endpoint
    /// rules.
    pub const fn signing_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::AwsCn => "cn-northwest-1",
            Self::AwsEusc => "eusc-de-east-1",
        }
    }

    pub const fn console_host(self) -> &'static str {
        match self {
            Self::Aws => "console.aws.amazon.com",
            Self::AwsCn => "console.amazonaws.cn",
            Self::AwsEusc => "console.amazonaws-eusc.eu",
        }
    }

    /// The page of a distribution in the AWS console.
    pub fn console_url(self, distribution: &str) -> String {
        let host = self.console_host();
        format!("https://{host}/cloudfront/v4/home#/distributions/{distribution}")
    }

    /// The regions of this partition, in the order a list should show them.
    pub fn regions(self) -> impl Iterator<Item = Region> {
        let all = REGIONS.iter().copied();
        all.filter(move |region| region.partition == self)
    }
}

/// A region of AWS where CloudFront can be used.
///
/// It decides the partition and no more: requests are always signed for
/// [`Partition::signing_region`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// AWS's code, such as `eu-central-1`.
    pub code: &'static str,
    /// AWS's name, such as `Europe (Frankfurt)`.
    pub name: &'static str,
    pub partition: Partition,
}

impl Region {
    /// `us-east-1`, the region that CloudFront itself signs for and the one to choose without a
    /// reason for another.
    pub const RECOMMENDED: Self = REGIONS[0];
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl FromStr for Region {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let code = text.trim().to_ascii_lowercase();
        if code.is_empty() {
            return Err(Refused::new(
                "Choose a region. us-east-1, US East (N. Virginia), is right for most accounts.",
            ));
        }
        if let Some(region) = REGIONS.iter().find(|region| region.code == code) {
            return Ok(*region);
        }
        if code.starts_with("us-gov-") || code == "aws-us-gov-global" {
            return Err(Refused::new(
                "CloudFront is not in AWS GovCloud. Use the commercial account that the distribution belongs to, and us-east-1.",
            ));
        }
        let zone_of = code.strip_suffix(|c: char| c.is_ascii_lowercase());
        Err(
            match REGIONS.iter().find(|region| Some(region.code) == zone_of) {
                Some(region) => Refused::new(format!(
                    "This is an Availability Zone. Its region is {region}."
                )),
                None => Refused::new(
                    "AWS has no region of this name with CloudFront. Choose one from the list; us-east-1 is recommended.",
                ),
            },
        )
    }
}

const fn region(partition: Partition, code: &'static str, name: &'static str) -> Region {
    Region {
        code,
        name,
        partition,
    }
}

/// The regions that AWS's SDKs list in November 2026, except those of partitions without CloudFront
/// (GovCloud, ISO): the recommended one first, then by partition and name.
static REGIONS: [Region; 39] = {
    use Partition::{Aws, AwsCn, AwsEusc};
    [
        region(Aws, "us-east-1", "US East (N. Virginia)"),
        region(Aws, "us-east-2", "US East (Ohio)"),
        region(Aws, "us-west-1", "US West (N. California)"),
        region(Aws, "us-west-2", "US West (Oregon)"),
        region(Aws, "af-south-1", "Africa (Cape Town)"),
        region(Aws, "ap-east-1", "Asia Pacific (Hong Kong)"),
        region(Aws, "ap-south-2", "Asia Pacific (Hyderabad)"),
        region(Aws, "ap-southeast-3", "Asia Pacific (Jakarta)"),
        region(Aws, "ap-southeast-5", "Asia Pacific (Malaysia)"),
        region(Aws, "ap-southeast-4", "Asia Pacific (Melbourne)"),
        region(Aws, "ap-south-1", "Asia Pacific (Mumbai)"),
        region(Aws, "ap-southeast-6", "Asia Pacific (New Zealand)"),
        region(Aws, "ap-northeast-3", "Asia Pacific (Osaka)"),
        region(Aws, "ap-northeast-2", "Asia Pacific (Seoul)"),
        region(Aws, "ap-southeast-1", "Asia Pacific (Singapore)"),
        region(Aws, "ap-southeast-2", "Asia Pacific (Sydney)"),
        region(Aws, "ap-east-2", "Asia Pacific (Taipei)"),
        region(Aws, "ap-southeast-7", "Asia Pacific (Thailand)"),
        region(Aws, "ap-northeast-1", "Asia Pacific (Tokyo)"),
        region(Aws, "ca-central-1", "Canada (Central)"),
        region(Aws, "ca-west-1", "Canada West (Calgary)"),
        region(Aws, "eu-central-1", "Europe (Frankfurt)"),
        region(Aws, "eu-west-1", "Europe (Ireland)"),
        region(Aws, "eu-west-2", "Europe (London)"),
        region(Aws, "eu-south-1", "Europe (Milan)"),
        region(Aws, "eu-west-3", "Europe (Paris)"),
        region(Aws, "eu-south-2", "Europe (Spain)"),
        region(Aws, "eu-north-1", "Europe (Stockholm)"),
        region(Aws, "eu-central-2", "Europe (Zurich)"),
        region(Aws, "il-central-1", "Israel (Tel Aviv)"),
        region(Aws, "mx-central-1", "Mexico (Central)"),
        region(Aws, "me-south-1", "Middle East (Bahrain)"),
        region(Aws, "me-west-1", "Middle East (Saudi Arabia)"),
        region(Aws, "me-central-1", "Middle East (UAE)"),
        region(Aws, "sa-west-1", "South America (Chile)"),
        region(Aws, "sa-east-1", "South America (São Paulo)"),
        region(AwsCn, "cn-north-1", "China (Beijing)"),
        region(AwsCn, "cn-northwest-1", "China (Ningxia)"),
        region(
            AwsEusc,
            "eusc-de-east-1",
            "AWS European Sovereign Cloud (Germany)",
        ),
    ]
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_leads_back_to_its_region() {
        for region in &REGIONS {
            assert_eq!(region.code.parse::<Region>().unwrap(), *region);
        }
        let total: usize = Partition::VARIANTS
            .iter()
            .map(|p| p.regions().count())
            .sum();
        assert_eq!(total, REGIONS.len());
        let codes: HashSet<_> = REGIONS.iter().map(|region| region.code).collect();
        assert_eq!(codes.len(), REGIONS.len());
    }

    #[test]
    fn the_recommended_region_and_all_signing_regions_are_regions() {
        assert_eq!(Region::RECOMMENDED.code, "us-east-1");
        for partition in Partition::VARIANTS {
            let region: Region = partition.signing_region().parse().unwrap();
            assert_eq!(region.partition, *partition);
        }
    }

    #[test]
    fn a_wrong_region_gets_a_suggestion() {
        let words = |text: &str| text.parse::<Region>().unwrap_err().to_string();
        assert!(words("").contains("Choose a region"));
        assert!(words("us-gov-west-1").contains("not in AWS GovCloud"));
        assert!(words("eu-west-1b").contains("Its region is eu-west-1"));
        assert!(words("moon-east-1").contains("no region of this name"));
        assert_eq!(" EU-West-1 ".parse::<Region>().unwrap().code, "eu-west-1");
    }
}
